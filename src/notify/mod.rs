//! What tells others when a state changes.

pub mod script;
