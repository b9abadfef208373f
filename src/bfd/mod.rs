//! BFD (RFC 5880, 5881, 5883): asynchronous sessions over UDP, without echo and authentication. No I/O, no clock,
//! no tokio: time is an argument, what is to be done comes out as data.

mod random;
pub mod session;
mod timers;

pub use session::{Effect, Event, Session};
pub use timers::Timer;
