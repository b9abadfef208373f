//! Addresses: `virtual_ipaddress`, `virtual_ipaddress_excluded`, `static_ipaddress`.

use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};

/// An address with a prefix length. The address keeps its host bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IpNetwork {
    /// The address.
    pub address: IpAddr,
    /// Prefix length: 0 to 32, or 0 to 128.
    pub prefix: u8,
}

/// `preferred_lft`, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Lifetime {
    /// For ever.
    #[default]
    Forever,
    /// That many seconds; 0 is "deprecated": not chosen as a source address.
    Seconds(u32),
}

/// Flags of one address (`IFA_F_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AddressFlags {
    /// `home`: `IFA_F_HOMEADDRESS`, IPv6.
    pub home: bool,
    /// `IFA_F_NODAD`, IPv6; set unless the line says `-nodad`.
    pub nodad: bool,
    /// `mngtmpaddr`: `IFA_F_MANAGETEMPADDR`, IPv6.
    pub manage_temporary: bool,
    /// `noprefixroute`: `IFA_F_NOPREFIXROUTE`.
    pub no_prefix_route: bool,
    /// `autojoin`: `IFA_F_MCAUTOJOIN`.
    pub autojoin: bool,
}

/// One address line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Address {
    /// Address and prefix length (32 or 128 when the line has none).
    pub network: IpNetwork,
    /// `peer`: the other end of a point-to-point address.
    pub peer: Option<IpNetwork>,
    /// `brd`: already worked out for `+` and `-`.
    pub broadcast: Option<Ipv4Addr>,
    /// `scope`: `RT_SCOPE_*` number, 0 is global.
    pub scope: u8,
    /// `label`, 15 characters at most, IPv4.
    pub label: Option<String>,
    /// Interface that the address goes to: `dev`, else the instance's (static: `default_interface`).
    pub interface: String,
    /// The line itself said `dev`.
    pub interface_given: bool,
    /// Flags.
    pub flags: AddressFlags,
    /// `no_track`: its removal by somebody else is nobody's business.
    pub no_track: bool,
    /// Preferred life time after keepalived's default (an IPv6 /128 gets 0).
    pub preferred: Lifetime,
    /// The line itself said `preferred_lft`.
    pub preferred_given: bool,
    /// `interface` is a virtual interface that is made for the instance or the address, and this is what it is
    /// over.
    pub over: Option<String>,
    /// `use_vmac`: a VMAC for this address alone.
    pub use_vmac: bool,
    /// `track_group` of a static address.
    pub track_group: Option<String>,
}
