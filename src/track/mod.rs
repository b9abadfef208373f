//! What looks at this host and tells instances.

pub mod script;
