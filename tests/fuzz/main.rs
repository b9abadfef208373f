//! Whatever comes from outside: good inputs that were damaged make no reader fall over, and what a reader keeps
//! of them is bounded.

#[allow(dead_code)]
#[path = "../protocol/lab.rs"]
mod lab;

mod driver;
mod kernel;
mod packets;
mod servers;
mod texts;
