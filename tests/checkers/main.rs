//! Checkers against servers on this machine: what they say and report, word for word.

mod support;
mod tcp;
