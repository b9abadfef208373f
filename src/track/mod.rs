//! What looks at this host and tells instances.

pub mod file;
mod number;
pub mod process;
pub mod script;
pub mod watch;
