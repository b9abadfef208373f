//! What runs beside the daemon.

pub mod check;
