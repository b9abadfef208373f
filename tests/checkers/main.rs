//! Checkers against servers on this machine: what they say and report, word for word.

mod http;
mod misc;
mod support;
mod tcp;
mod tls;
