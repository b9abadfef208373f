//! What tells others when a state changes.

pub mod fifo;
mod fifo_script;
pub mod mail;
pub mod script;
mod smtp;
