//! The running program: the only place that wires things together.

pub mod dumps;
pub mod kernel;
pub mod logging;
