//! What runs beside the daemon.

pub mod check;
pub mod convert;
pub mod genhash;
