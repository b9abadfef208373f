//! Things that happen and that an operator reads about: typed here, put into keepalived's words in
//! `report::lines`.

use std::sync::Arc;

/// One thing that happened to an instance or a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// Instance name; `None` for a group's.
    pub instance: Option<Arc<str>>,
}
