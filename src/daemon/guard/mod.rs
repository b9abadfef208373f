//! The guard: a small process that waits for the daemon's death. A daemon that is killed says no goodbye: its
//! peers would wait for the whole master down interval, and its addresses would stay. The guard sends priority 0
//! for every virtual router that was master, takes away what the daemon has set, and ends.
//!
//! It is this program under another name. What it needs it is told over a socket, whose other end closes when the
//! daemon is gone; who is master stands in memory that the VRRP thread writes to (`page`), and that the guard
//! reads when there is no writer any more.

mod client;
mod message;
mod page;
mod server;

pub use client::{Guard, Settings};
pub use page::Page;

use crate::model::{Configuration, Instance};
use crate::net::adverts::SocketSpec;
use crate::net::objects::Object;
use crate::process;
use crate::state::InstanceId;
use crate::vrrp::farewell::Signing;
use crate::vrrp::group::Datagram;
use crate::vrrp::plan::Running;
use std::path::Path;

/// argv\[0\] of the guard: nobody who looks for keepalived may find it.
const NAME: &str = "(keepalived-rs guard)";

/// To be called first in `main`: when this process is a guard it does a guard's work, and never returns.
pub fn run_if_guard() {
    let mut arguments = std::env::args_os();
    if arguments.next().is_some_and(|name| name == NAME) {
        process::set_comm("vrrp-guard");
        let name = arguments.next().unwrap_or_default();
        std::process::exit(server::run(name.as_encoded_bytes()));
    }
}

/// What the VRRP thread tells: adverts of an instance, and the socket that they leave by.
#[derive(Debug)]
pub struct Packets {
    /// Whose.
    pub instance: InstanceId,
    /// Socket.
    pub spec: SocketSpec,
    /// One advert.
    pub datagrams: Vec<Datagram>,
}

/// What a guard knows of one instance from the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    id: InstanceId,
    name: String,
    signing: Signing,
    /// In the order in which they are removed.
    objects: Vec<Object>,
}

impl Known {
    fn of(id: InstanceId, config: &Instance) -> Known {
        let rules = config.rules.iter().cloned().map(|r| Object::Rule(Box::new(r)));
        let routes = config.routes.iter().cloned().map(|r| Object::Route(Box::new(r)));
        let addresses = config.vips.iter().chain(&config.excluded_vips);
        let addresses = addresses.cloned().map(Object::Address);
        Known {
            id,
            name: config.name.clone(),
            signing: Signing::of(config),
            objects: rules.rev().chain(routes.rev()).chain(addresses.rev()).collect(),
        }
    }

    /// All instances that run.
    pub fn all(running: &Running) -> Vec<Known> {
        let members = running.members();
        members
            .map(|(_, member)| Known::of(member.id, &member.config))
            .collect()
    }
}

/// Whether there is something to guard.
pub fn wanted(config: &Configuration, keep_vips: bool) -> bool {
    config.globals.guard && !keep_vips && !config.instances.is_empty()
}

/// Name of the abstract socket that is there for as long as the guard of the daemon with this pid file.
fn socket_name(pid_file: &Path) -> Vec<u8> {
    let mut name = b"keepalived-rs-guard:".to_vec();
    name.extend_from_slice(pid_file.as_os_str().as_encoded_bytes());
    // What fits into an address with its leading zero.
    name.truncate(100);
    name
}
