//! Routes and rules: `virtual_routes`, `static_routes`, `virtual_rules`, `static_rules`.

use super::address::IpNetwork;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Address family of a route, rule or instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Family {
    /// IPv4.
    #[default]
    Inet,
    /// IPv6.
    Inet6,
}

/// One next hop of a route.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct NextHop {
    /// `via`.
    pub via: Option<IpAddr>,
    /// `dev`.
    pub interface: Option<String>,
    /// `weight`, 1 to 256; 0 when the line has none.
    pub weight: u32,
    /// `onlink`.
    pub onlink: bool,
    /// `realms`.
    pub realms: Option<u32>,
    /// `encap`.
    pub encap: Option<Encap>,
}

/// `encap`: a lightweight tunnel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Encap {
    /// `mpls L1/L2`.
    Mpls(Vec<u32>),
    /// `ip id N dst A src A tos N ttl N flags N`.
    Ip {
        /// `id`.
        id: Option<u64>,
        /// `dst`.
        destination: Option<IpAddr>,
        /// `src`.
        source: Option<IpAddr>,
        /// `tos`, or `tc` for IPv6.
        tos: Option<u8>,
        /// `ttl`, or `hoplimit`.
        ttl: Option<u8>,
        /// `flags`.
        flags: Option<u16>,
        /// `ip6` rather than `ip`.
        ipv6: bool,
    },
    /// `ila LOCATOR`.
    Ila(u64),
}

/// How a route is put into the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum RouteAction {
    /// `NLM_F_REPLACE` (the default).
    #[default]
    Replace,
    /// `add`.
    Add,
    /// `prepend`.
    Prepend,
    /// `append`.
    Append,
}

/// A metric that may be locked (`mtu lock 1400`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// `RTAX_*` number.
    pub kind: u16,
    /// Value in the kernel's unit.
    pub value: u32,
    /// `lock`.
    pub locked: bool,
}

/// One route line.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Route {
    /// Family.
    pub family: Family,
    /// `RTN_*`; 1 is unicast.
    pub kind: u8,
    /// Destination; `None` is the default route.
    pub destination: Option<IpNetwork>,
    /// `from`, IPv6.
    pub from: Option<IpNetwork>,
    /// `src`.
    pub source: Option<IpAddr>,
    /// `tos`.
    pub tos: u8,
    /// `table`; `None` is main.
    pub table: Option<u32>,
    /// `protocol`: keepalived's (18) unless `no_track`; then what the line says, if it does.
    pub protocol: Option<u8>,
    /// `scope`.
    pub scope: Option<u8>,
    /// `metric`.
    pub metric: Option<u32>,
    /// `via`, `dev`, `onlink`, `encap` of a route with a single next hop.
    pub hop: NextHop,
    /// `nexthop ...`, for a multipath route.
    pub next_hops: Vec<NextHop>,
    /// `expires`, seconds, IPv6.
    pub expires: Option<u32>,
    /// `mtu`, `hoplimit`, `advmss`, `rtt`, ...
    pub metrics: Vec<Metric>,
    /// `features`.
    pub features: u32,
    /// `congctl` and whether it is locked.
    pub congctl: Option<(String, bool)>,
    /// `pref`, IPv6.
    pub preference: Option<u8>,
    /// `ttl-propagate`.
    pub ttl_propagate: Option<bool>,
    /// `add`, `prepend`, `append`.
    pub action: RouteAction,
    /// `no_track`.
    pub no_track: bool,
    /// `vrf`.
    pub vrf: Option<String>,
    /// `track_group` of a static route.
    pub track_group: Option<String>,
}

impl Route {
    /// Interfaces that it names: `dev`, and those of its next hops.
    pub fn interfaces(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.hop)
            .chain(&self.next_hops)
            .filter_map(|hop| hop.interface.as_deref())
    }
}

/// What a rule does with a packet that it matches.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum RuleAction {
    /// `table N`.
    Table(u32),
    /// `goto N`.
    Goto(u32),
    /// `nop`.
    #[default]
    Nop,
    /// `blackhole`.
    Blackhole,
    /// `unreachable`.
    Unreachable,
    /// `prohibit`.
    Prohibit,
    /// `l3mdev`.
    L3Mdev,
}

/// One rule line.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Rule {
    /// Family.
    pub family: Family,
    /// `not`.
    pub invert: bool,
    /// `from`; `None` is all (or not given, see `from_given`).
    pub from: Option<IpNetwork>,
    /// The line said `from`.
    pub from_given: bool,
    /// `to`.
    pub to: Option<IpNetwork>,
    /// The line said `to`.
    pub to_given: bool,
    /// `preference`, given or allocated.
    pub priority: u32,
    /// `tos`.
    pub tos: u8,
    /// `fwmark` and mask.
    pub fwmark: Option<(u32, Option<u32>)>,
    /// `realms`.
    pub realms: Option<u32>,
    /// `suppress_prefixlength`.
    pub suppress_prefix_length: Option<u32>,
    /// `suppress_ifgroup`.
    pub suppress_group: Option<u32>,
    /// `iif`, `dev`.
    pub input_interface: Option<String>,
    /// `oif`.
    pub output_interface: Option<String>,
    /// `tunnel-id`.
    pub tunnel_id: Option<u64>,
    /// `uidrange`.
    pub uid_range: Option<(u32, u32)>,
    /// `protocol`: keepalived's (18) unless `no_track`; then what the line says, if it does.
    pub protocol: Option<u8>,
    /// `ipproto`.
    pub ip_protocol: Option<u8>,
    /// `sport`.
    pub source_ports: Option<(u16, u16)>,
    /// `dport`.
    pub destination_ports: Option<(u16, u16)>,
    /// What it does.
    pub action: RuleAction,
    /// `no_track`.
    pub no_track: bool,
    /// `track_group` of a static rule.
    pub track_group: Option<String>,
}

impl Rule {
    /// Interfaces that it names.
    pub fn interfaces(&self) -> impl Iterator<Item = &str> {
        [&self.input_interface, &self.output_interface]
            .into_iter()
            .filter_map(|name| name.as_deref())
    }
}
