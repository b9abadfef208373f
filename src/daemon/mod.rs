//! The running program: the only place that wires things together.
//!
//! [`run`] does what must be done before there are threads: name, pid files, background. Then it starts the
//! log, the kernel thread, the VRRP thread and the services, and supervises until the end.

pub mod bfd;
mod company;
mod config_save;
pub mod control;
pub mod dumps;
mod group_task;
pub mod guard;
pub mod host;
mod icmp;
pub mod kernel;
pub mod late;
pub mod links;
pub mod logging;
pub mod lvs;
pub mod port;
mod preflight;
pub mod reload;
mod reload_time;
pub mod services;
mod snapshot;
mod sockets;
mod start;
mod startup_delay;
mod supervise;
mod virtual_links;

pub use start::run;
