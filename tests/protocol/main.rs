//! The protocol as a whole: recorded packets, every state with every event, all orders of events of a small
//! network, and random networks.

mod behaviour;
mod lab;
mod model;
mod refused;
mod simulation;
mod states;
