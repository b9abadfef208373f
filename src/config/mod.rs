//! keepalived.conf(5): text to model, every error pointed at its place.
//!
//! The outside (files, environment, users, interfaces, path security) is seen only through [`Host`].

pub mod diagnostic;
pub mod host;
pub mod keyword;
pub mod line;
pub mod read;

pub use diagnostic::{Class, Diagnostic, Diagnostics, Span};
pub use host::Host;
pub use keyword::{Area, Keyword};
pub use line::{Line, Word};
