//! System calls that have no safe wrapper elsewhere: netlink, batches of datagrams, socket options, the
//! absolute timer, scheduling. Beside `process` the only room with `unsafe`; each one says what makes it sound.

pub mod carrier;
pub mod clock;
pub mod datagram;
pub mod frame;
pub mod local_time;
pub mod netlink;
pub mod option;
#[cfg(feature = "pcre2")]
pub mod pattern;
pub mod poll;
pub mod readiness;
pub mod schedule;
pub mod shared;
pub mod timer;
