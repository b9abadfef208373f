//! The protocol as a whole: recorded packets, every state with every event, all orders of events of a small
//! network, and random networks.

mod alone;
mod anything;
mod boot;
mod company;
mod deaf;
mod edits;
mod election;
mod groups;
mod lab;
mod model;
mod network;
mod recorded;
mod refused;
mod reload;
mod signed;
mod simulation;
mod states;
mod timers;
mod tracking;
