//! A network interface as the kernel reports it.

use std::net::IpAddr;

/// Snapshot of one interface. Whatever changes, the whole snapshot is sent: state is a function of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Interface {
    /// Kernel index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// `IFF_*`.
    pub flags: u32,
    /// MTU, bytes.
    pub mtu: u32,
    /// `ARPHRD_*`.
    pub hardware_type: u16,
    /// Hardware address.
    pub mac: Vec<u8>,
    /// Hardware broadcast address.
    pub mac_broadcast: Vec<u8>,
    /// Index of the interface below (macvlan, vlan, ipvlan), if it is in this namespace.
    pub lower: Option<u32>,
    /// Index of the master (bridge, bond, VRF).
    pub master: Option<u32>,
    /// Kind (`vlan`, `macvlan`, `vrf`, ...).
    pub kind: Option<String>,
    /// `macvlan` mode number, when it is one.
    pub macvlan_mode: Option<u32>,
    /// Table of a VRF interface.
    pub vrf_table: Option<u32>,
    /// Alias, free text.
    pub alias: Option<String>,
    /// Interface group.
    pub group: u32,
    /// Addresses, in the kernel's order.
    pub addresses: Vec<InterfaceAddress>,
    /// The flags are from before: `interface_up_down_delays` holds a change back.
    pub delayed: bool,
    /// How it is asked for its carrier; `None`: the kernel's word is taken.
    pub linkbeat: Option<Linkbeat>,
    /// Whether it has received anything since it came up.
    pub hearing: Hearing,
}

/// What a link has received since it came up. A switch's port that is up may pass nothing for a while (spanning
/// tree, link aggregation): whoever is behind it hears nobody, and nobody hears it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hearing {
    /// A frame, or it is not looked at, or was for long enough.
    #[default]
    Something,
    /// Nothing: it has come up under our eyes.
    Nothing,
    /// Nothing, and the machine has just been started: there was no time to hear from other routers before.
    NothingSinceBoot,
}

/// `linkbeat_interfaces`: a way to ask a link for its carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linkbeat {
    /// The transceiver's status register.
    Mii,
    /// ETHTOOL_GLINK.
    Ethtool,
    /// SIOCGIFFLAGS.
    Ioctl,
}

impl Linkbeat {
    /// As in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Linkbeat::Mii => "MII",
            Linkbeat::Ethtool => "ETHTOOL",
            Linkbeat::Ioctl => "IOCTL",
        }
    }
}

/// An address on an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// Address (IFA_LOCAL).
    pub address: IpAddr,
    /// Prefix length.
    pub prefix: u8,
    /// `RT_SCOPE_*`.
    pub scope: u8,
    /// `IFA_F_*`.
    pub flags: u32,
    /// `IFA_PROTO`, 18 for keepalived's own; 0 where the kernel has none.
    pub protocol: u8,
    /// Label, IPv4.
    pub label: Option<String>,
}

/// `IFA_PROTO` and `rtm_protocol` of what keepalived and we put into the kernel.
pub const PROTOCOL_KEEPALIVED: u8 = 18;

/// `IFF_UP`.
pub const IFF_UP: u32 = 0x1;
/// `IFF_BROADCAST`.
pub const IFF_BROADCAST: u32 = 0x2;
/// `IFF_LOOPBACK`.
pub const IFF_LOOPBACK: u32 = 0x8;
/// `IFF_POINTOPOINT`.
pub const IFF_POINTOPOINT: u32 = 0x10;
/// `IFF_RUNNING`.
pub const IFF_RUNNING: u32 = 0x40;
/// `IFF_NOARP`.
pub const IFF_NOARP: u32 = 0x80;
/// `IFF_MULTICAST`.
pub const IFF_MULTICAST: u32 = 0x1000;

impl Interface {
    /// Up as keepalived means it: IFF_UP and IFF_RUNNING.
    pub fn is_up(&self) -> bool {
        self.flags & (IFF_UP | IFF_RUNNING) == IFF_UP | IFF_RUNNING
    }

    /// Source address of adverts where none is configured: the first IPv4 address that is not one of
    /// ours, or the first IPv6 link-local one.
    pub fn source(&self, ipv6: bool) -> Option<IpAddr> {
        let found = |address: &&InterfaceAddress| match address.address {
            IpAddr::V4(_) => !ipv6,
            IpAddr::V6(v6) => ipv6 && v6.is_unicast_link_local(),
        };
        let own = |address: &&InterfaceAddress| address.protocol != PROTOCOL_KEEPALIVED;
        self.addresses
            .iter()
            .filter(own)
            .find(found)
            .map(|address| address.address)
    }
}
