//! Checkers against servers on this machine: what they say and report, word for word.

mod convert;
mod datagrams;
mod follow;
mod genhash;
mod http;
mod misc;
mod smtp;
mod support;
mod tcp;
mod tls;
