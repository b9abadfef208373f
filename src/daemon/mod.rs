//! The running program: the only place that wires things together.

pub mod logging;
