//! The protocol as a whole: recorded packets, every state with every event, all orders of events of a small
//! network, and random networks.

mod anything;
mod behaviour;
mod groups;
mod lab;
mod model;
mod recorded;
mod refused;
mod simulation;
mod states;
