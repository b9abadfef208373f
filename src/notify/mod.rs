//! What tells others when a state changes.

pub mod fifo;
mod fifo_script;
pub mod script;
