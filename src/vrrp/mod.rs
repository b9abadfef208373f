//! The VRRP protocol: RFC 3768 (v2), RFC 5798 and RFC 9568 (v3), as keepalived runs it. No I/O, no clock.
//!
//! A [`Group`] owns the instances of one sync group (an instance that is in none is a group of one) and
//! moves them in one step. Whoever drives it calls [`Group::handle`] with what happened, carries out the
//! [`Effect`]s in their order, and calls again with [`Event::Tick`] when [`Group::deadline`] is reached.

mod advert;
mod ah;
mod announce;
mod company;
pub mod event;
pub mod farewell;
pub mod group;
mod hear;
mod hmac;
mod instance;
mod link;
mod peers;
pub mod plan;
mod priority;
mod receive;
mod step;
mod tell;
mod timers;
mod tracking;
mod view;

pub use event::{Effect, Effects, Event, Received};
pub use group::{Group, GroupConfig, Member};
