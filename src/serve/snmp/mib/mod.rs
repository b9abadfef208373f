//! What the MIBs have of a snapshot. Which columns there are, and what is in them, is as keepalived has it.

mod address;
mod general;
mod instance;
mod lvs;
mod route;
mod rule;
mod track;
mod traffic;
mod v2;
mod v3;

pub(super) use instance::initial_state;
pub(super) use lvs::{identity as server_identity, protocol as server_protocol, up as servers_up};
pub(super) use v2::{index as index2, ipv4, is_shown as is_shown2};
pub(super) use v3::index as index3;

use super::tree::Tree;
use crate::model::script::NotifyScript;
use crate::state::VrrpState;
use crate::state::snapshot::Snapshot;
use crate::wire::agentx::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

/// KEEPALIVED-MIB.
pub const KEEPALIVED: [u32; 10] = [1, 3, 6, 1, 4, 1, 9586, 100, 5, 0];
/// VRRP-MIB (RFC 2787).
pub const V2: [u32; 8] = [1, 3, 6, 1, 2, 1, 68, 0];
/// VRRPV3-MIB (RFC 6527).
pub const V3: [u32; 8] = [1, 3, 6, 1, 2, 1, 207, 0];

/// Which MIBs are answered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parts {
    /// `enable_snmp_vrrp`.
    pub vrrp: bool,
    /// `enable_snmp_checker`.
    pub checker: bool,
    /// `enable_snmp_rfcv2`.
    pub v2: bool,
    /// `enable_snmp_rfcv3`.
    pub v3: bool,
}

impl Parts {
    /// There is something to answer for.
    pub fn any(self) -> bool {
        self != Parts::default()
    }

    /// The subtrees, to be registered.
    pub fn subtrees(self) -> Vec<Vec<u32>> {
        let general = self.vrrp || self.checker;
        let parts = [
            (general, keepalived(&[1])),
            (self.vrrp, keepalived(&[2])),
            (self.checker, keepalived(&[3])),
            (self.v2, V2[..7].to_vec()),
            (self.v3, V3[..7].to_vec()),
        ];
        let wanted = parts.into_iter().filter(|(wanted, _)| *wanted);
        wanted.map(|(_, subtree)| subtree).collect()
    }
}

/// What the MIBs show that a snapshot does not know.
#[derive(Debug, Clone)]
pub struct About {
    /// Our version, in keepalived's form.
    pub version: &'static str,
    /// When the master agent started, as it says: `sysUpTime` counts from there.
    pub started: SystemTime,
    /// What the RFCs' MIBs remember of each instance.
    pub history: BTreeMap<Arc<str>, History>,
}

/// What happened to an instance, for the MIBs of the RFCs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct History {
    /// Why it last became master: 0 not, 1 priority, 2 preempted, 3 masterNoResponse.
    pub reason: i32,
    /// What was last wrong with a packet: 0 nothing, 1 TTL, 2 version, 3 checksum, 4 VRID.
    pub error: i32,
}

/// All objects.
pub fn tree(snapshot: &Snapshot, parts: Parts, about: &About) -> Tree {
    let mut tree = Tree::default();
    if parts.vrrp || parts.checker {
        general::put(snapshot, about.version, &mut tree);
    }
    if parts.vrrp {
        instance::put(snapshot, &mut tree);
        track::put(snapshot, &mut tree);
        address::put(snapshot, &mut tree);
        route::put(snapshot, &mut tree);
        rule::put(snapshot, &mut tree);
    }
    if let Some(lvs) = snapshot.lvs.as_ref().filter(|_| parts.checker) {
        lvs::put(snapshot, lvs, &mut tree);
    }
    if parts.v2 {
        v2::put(snapshot, about, &mut tree);
    }
    if parts.v3 {
        v3::put(snapshot, about, &mut tree);
    }
    tree
}

/// An object of KEEPALIVED-MIB.
pub fn keepalived(rest: &[u32]) -> Vec<u32> {
    [&KEEPALIVED[..9], rest].concat()
}

/// An object of VRRP-MIB.
pub fn vrrp2(rest: &[u32]) -> Vec<u32> {
    [&V2[..7], rest].concat()
}

/// An object of VRRPV3-MIB.
pub fn vrrp3(rest: &[u32]) -> Vec<u32> {
    [&V3[..7], rest].concat()
}

/// VrrpState of KEEPALIVED-MIB.
pub fn state(state: VrrpState) -> Value {
    Value::Integer(match state {
        VrrpState::Init => 0,
        VrrpState::Backup => 1,
        VrrpState::Master => 2,
        VrrpState::Fault => 3,
        VrrpState::Stop => 5,
        VrrpState::Deleted => 6,
    })
}

/// A command as keepalived shows it: each word in quotes.
fn command(script: &NotifyScript) -> Value {
    let words: Vec<String> = script.argv.iter().map(|word| format!("'{word}'")).collect();
    Value::text(&words.join(" "))
}

/// The path of a command's program.
fn path(script: &NotifyScript) -> Value {
    Value::text(script.argv.first().map_or("", String::as_str))
}

/// An address, zeros where there is none.
pub(super) fn address_or_zeros(address: Option<IpAddr>, ipv6: bool) -> Value {
    match address {
        Some(found) if found.is_ipv6() == ipv6 => super::tree::address(&found),
        _ => Value::Octets(vec![0; if ipv6 { 16 } else { 4 }]),
    }
}

/// InetScopeType of a scope of the kernel.
fn scope(scope: u8) -> Value {
    Value::Integer(match scope {
        254 => 1,
        253 => 2,
        200 => 5,
        0 => 14,
        other => i32::from(other),
    })
}

/// The index of an interface; 0 when it does not exist.
fn interface_index(snapshot: &Snapshot, name: &str) -> u32 {
    let found = snapshot.interfaces.iter().find(|i| i.interface.name == name);
    found.map_or(0, |found| found.interface.index)
}

/// `time` on the clock of the master agent, hundredths of a second.
fn ticks(time: Option<SystemTime>, started: SystemTime) -> Value {
    let since = time.and_then(|time| time.duration_since(started).ok());
    let hundredths = since.unwrap_or_default().as_millis() / 10;
    Value::TimeTicks(u32::try_from(hundredths).unwrap_or(u32::MAX))
}
