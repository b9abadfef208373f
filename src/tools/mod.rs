//! What runs beside the daemon.

pub mod check;
pub mod convert;
pub mod explain;
pub mod genhash;
