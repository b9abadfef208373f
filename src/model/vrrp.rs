//! VRRP instances, sync groups, and what belongs to them.

use super::address::Address;
use super::route::{Family, Route, Rule};
use super::script::NotifyScripts;
use super::secret::{Key, Password};
use super::track::Tracked;
use std::net::IpAddr;
use std::time::Duration;

/// VRRP version of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub enum Version {
    /// RFC 3768.
    #[default]
    V2,
    /// RFC 5798, RFC 9568.
    V3,
}

impl Version {
    /// 2 or 3.
    pub fn number(self) -> u8 {
        match self {
            Version::V2 => 2,
            Version::V3 => 3,
        }
    }
}

/// `state`, after keepalived's adjustments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InitialState {
    /// Start as backup.
    #[default]
    Backup,
    /// Start as master (below priority 255: as backup with a short timer).
    Master,
}

/// `authentication`, VRRPv2 only.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Authentication {
    /// None.
    #[default]
    None,
    /// `auth_type PASS`: eight bytes in the clear, padded with zeros.
    Pass(Password),
    /// `auth_type AH`: IPsec AH with HMAC-MD5-96.
    Ah(Password),
}

/// `auth_hmac`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthHmac {
    /// Key id and key, 32 to 64 bytes.
    pub keys: Vec<(u8, Key)>,
    /// `active_key`.
    pub active_key: u8,
    /// `time_window`, seconds; without meaning when `monotonic`.
    pub time_window: u32,
    /// `anti_replay monotonic`.
    pub monotonic: bool,
    /// `mode`.
    pub mode: HmacMode,
}

impl AuthHmac {
    /// The key with this id.
    pub fn key(&self, id: u8) -> Option<&Key> {
        self.keys
            .iter()
            .find(|(known, _)| *known == id)
            .map(|(_, key)| key)
    }
}

/// `auth_hmac` `mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HmacMode {
    /// Send and require.
    #[default]
    Enforce,
    /// Send; a missing trailer is accepted.
    Permissive,
    /// Do not send; a missing trailer is accepted.
    ReceiveOnly,
}

/// One line of `unicast_peer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnicastPeer {
    /// Address.
    pub address: IpAddr,
    /// `min_ttl`, 0 by default.
    pub min_ttl: u8,
    /// `max_ttl`, 255 by default.
    pub max_ttl: u8,
}

/// `old_unicast_checksum`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnicastChecksum {
    /// The right one, until a peer is heard that uses the old one.
    #[default]
    Auto,
    /// The old one: the multicast group in the pseudo header.
    Old,
    /// `never`.
    Never,
}

/// `accept` and `no_accept`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Accept {
    /// Packets to the addresses are accepted.
    #[default]
    Enabled,
    /// They are dropped by firewall rules while the instance is not the address owner.
    Disabled,
}

/// `use_vmac`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vmac {
    /// Name, given or `vrrp.<VRID>`.
    pub name: String,
    /// The line names it.
    pub name_given: bool,
    /// MAC address of the file; `None` is 00:00:5e:00:01:VRID (IPv6 02).
    pub mac: Option<[u8; 6]>,
    /// `netlink_notify_msg`.
    pub netlink_notify: bool,
    /// `group`.
    pub group: Option<u32>,
    /// `vmac_xmit_base`.
    pub xmit_base: bool,
}

/// `use_ipvlan`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ipvlan {
    /// Name, given or generated.
    pub name: String,
    /// 0 bridge, 1 private, 2 vepa.
    pub kind: u16,
    /// Address on it.
    pub address: Option<super::IpNetwork>,
    /// `group`.
    pub group: Option<u32>,
}

/// Gratuitous ARP and unsolicited NA of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Garp {
    /// `garp_master_delay`: until the second burst; zero is none.
    pub master_delay: Duration,
    /// `garp_master_repeat`: packets per address and burst.
    pub master_repeat: u32,
    /// `garp_master_refresh`: period while master; zero is none.
    pub refresh: Duration,
    /// `garp_master_refresh_repeat`.
    pub refresh_repeat: u32,
    /// `garp_lower_prio_delay`.
    pub lower_prio_delay: Duration,
    /// `garp_lower_prio_repeat`.
    pub lower_prio_repeat: u32,
    /// `garp_extra_if`: period, zero is none.
    pub extra_interface: Duration,
    /// `garp_extra_if all`.
    pub extra_interface_all: bool,
}

/// One `vrrp_instance`, every default resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Name.
    pub name: String,
    /// Line of the block's header, for messages.
    pub line: u32,
    /// File of the block's header.
    pub file: String,
    /// VRRP version.
    pub version: Version,
    /// Address family.
    pub family: Family,
    /// `native_ipv6`, or made so by its first address.
    pub native_ipv6: bool,
    /// `state`.
    pub initial_state: InitialState,
    /// `interface`; empty when none is given (allowed with a source address).
    pub interface: String,
    /// `vrf`.
    pub vrf: Option<String>,
    /// `virtual_router_id`, 1 to 255.
    pub vrid: u8,
    /// `priority`, 1 to 255; 255 is the address owner.
    pub priority: u8,
    /// `advert_int`, after rounding.
    pub advert_interval: Duration,
    /// `virtual_ipaddress`: what adverts carry.
    pub vips: Vec<Address>,
    /// `virtual_ipaddress_excluded`, and what did not fit.
    pub excluded_vips: Vec<Address>,
    /// `no_virtual_ipaddress`.
    pub no_vips: bool,
    /// `virtual_routes`.
    pub routes: Vec<Route>,
    /// `virtual_rules`.
    pub rules: Vec<Rule>,
    /// Interfaces of static addresses, routes and rules whose `track_group` it is in.
    pub static_interfaces: Vec<String>,
    /// `authentication`.
    pub authentication: Authentication,
    /// `auth_hmac`.
    pub auth_hmac: Option<AuthHmac>,
    /// `mcast_src_ip`, `unicast_src_ip`.
    pub source: Option<IpAddr>,
    /// `track_src_ip`.
    pub track_source: bool,
    /// Group that adverts go to: `mcast_dst_ip`, else `vrrp_mcast_group4|6`.
    pub multicast_group: IpAddr,
    /// Unicast instead of multicast (`unicast_peer`, or `unicast_src_ip` without a peer).
    pub unicast: bool,
    /// `unicast_peer`.
    pub peers: Vec<UnicastPeer>,
    /// `unicast_fault_no_peer`.
    pub unicast_fault_no_peer: bool,
    /// `check_unicast_src`, also set by a peer's TTL limits.
    pub check_unicast_source: bool,
    /// `unicast_ttl`; 255 by default, and 64 over IPv6.
    pub unicast_ttl: Option<u8>,
    /// `old_unicast_checksum`.
    pub unicast_checksum: UnicastChecksum,
    /// `v3_checksum_as_v2`.
    pub v3_checksum_as_v2: bool,
    /// `skip_check_adv_addr`.
    pub skip_check_adv_addr: bool,
    /// `strict_mode`.
    pub strict: bool,
    /// `accept`.
    pub accept: Accept,
    /// `nopreempt`.
    pub nopreempt: bool,
    /// `preempt_delay`, 0 to 1000 s.
    pub preempt_delay: Duration,
    /// `down_timer_adverts`, 1 to 100.
    pub down_timer_adverts: u32,
    /// `lower_prio_no_advert`.
    pub lower_prio_no_advert: bool,
    /// `higher_prio_send_advert`.
    pub higher_prio_send_advert: bool,
    /// `owner_ignore_adverts`.
    pub owner_ignore_adverts: bool,
    /// `timer_expired_backup`: highest priority of others.
    pub timer_expired_backup: Option<u8>,
    /// `garp_*`.
    pub garp: Garp,
    /// `kernel_rx_buf_size`.
    pub kernel_rx_buffer: Option<u32>,
    /// `use_vmac`.
    pub vmac: Option<Vmac>,
    /// `use_vmac_addr`.
    pub vmac_addresses: bool,
    /// `use_ipvlan`.
    pub ipvlan: Option<Ipvlan>,
    /// `dont_track_primary`.
    pub dont_track_primary: bool,
    /// `track_interface`.
    pub track_interfaces: Vec<Tracked>,
    /// `track_script`.
    pub track_scripts: Vec<Tracked>,
    /// `track_file`.
    pub track_files: Vec<Tracked>,
    /// `track_process`.
    pub track_processes: Vec<Tracked>,
    /// `track_bfd`.
    pub track_bfd: Vec<Tracked>,
    /// `promote_secondaries`.
    pub promote_secondaries: bool,
    /// `linkbeat_use_polling`.
    pub linkbeat_polling: bool,
    /// `debug`, 0 to 4, without effect.
    pub debug: u32,
    /// `notify*`.
    pub notify: NotifyScripts,
    /// `notify_deleted` without a script: report DELETED instead of FAULT.
    pub notify_deleted: bool,
    /// `notify_priority_changes`.
    pub notify_priority_changes: bool,
    /// `smtp_alert`.
    pub smtp_alert: bool,
    /// Problems that keep it in FAULT (compat: `Number of config faults`).
    pub config_faults: u32,
    /// Sync group that it is in.
    pub sync_group: Option<String>,
}

impl Instance {
    /// The interface that is made for the instance, if one is: `use_vmac`, `use_ipvlan`.
    pub fn virtual_interface(&self) -> Option<&str> {
        let vmac = self.vmac.as_ref().map(|vmac| vmac.name.as_str());
        vmac.or_else(|| self.ipvlan.as_ref().map(|ipvlan| ipvlan.name.as_str()))
    }

    /// Interfaces of its tracked addresses, routes and rules, and of the static ones of its track groups: all
    /// must be up. Each may come several times.
    pub fn used_interfaces(&self) -> impl Iterator<Item = &str> {
        let addresses = self.vips.iter().chain(&self.excluded_vips);
        let addresses = addresses.filter(|address| !address.no_track);
        let routes = self.routes.iter().filter(|route| !route.no_track);
        let rules = self.rules.iter().filter(|rule| !rule.no_track);
        addresses
            .map(|address| address.interface.as_str())
            .chain(routes.flat_map(Route::interfaces))
            .chain(rules.flat_map(Rule::interfaces))
            .chain(self.static_interfaces.iter().map(String::as_str))
            .filter(|name| !name.is_empty())
    }

    /// The interface that its addresses go to where their lines name none.
    pub fn own_interface(&self) -> &str {
        self.virtual_interface().unwrap_or(&self.interface)
    }

    /// The interface of its advertisements; empty where neither `interface` nor `vrf` is given.
    pub fn advert_interface(&self) -> &str {
        match (&self.vmac, &self.vrf) {
            (Some(vmac), _) if vmac.xmit_base => &self.interface,
            (None, Some(vrf)) if self.interface.is_empty() => vrf,
            _ => self.own_interface(),
        }
    }

    /// The interface whose address adverts have as their source: an IPv4 address belongs to the interface of the
    /// file, a link-local address to the one that it is sent from.
    pub fn source_interface(&self) -> &str {
        match self.family {
            Family::Inet if self.ipvlan.is_none() => &self.interface,
            _ => self.advert_interface(),
        }
    }

    /// MAC address of its VMACs: the file's, else that of RFC 9568 for its family and VRID.
    pub fn virtual_mac(&self) -> [u8; 6] {
        let given = self.vmac.as_ref().and_then(|vmac| vmac.mac);
        given.unwrap_or_else(|| virtual_mac(self.family, self.vrid))
    }
}

/// RFC 9568, 7.3: 00-00-5E-00-01-VRID, for IPv6 00-00-5E-00-02-VRID.
pub fn virtual_mac(family: Family, vrid: u8) -> [u8; 6] {
    let family = match family {
        Family::Inet => 1,
        Family::Inet6 => 2,
    };
    [0, 0, 0x5e, 0, family, vrid]
}

/// `vrrp_sync_group`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SyncGroup {
    /// Name.
    pub name: String,
    /// `group`: names of members that exist.
    pub members: Vec<String>,
    /// `track_interface`.
    pub track_interfaces: Vec<Tracked>,
    /// `track_script`.
    pub track_scripts: Vec<Tracked>,
    /// `track_file`.
    pub track_files: Vec<Tracked>,
    /// `track_process`.
    pub track_processes: Vec<Tracked>,
    /// `track_bfd`.
    pub track_bfd: Vec<Tracked>,
    /// `notify*`.
    pub notify: NotifyScripts,
    /// `notify_priority_changes`.
    pub notify_priority_changes: bool,
    /// `smtp_alert`.
    pub smtp_alert: bool,
    /// `sync_group_tracking_weight`, or the old `global_tracking`.
    pub tracking_weight: bool,
}

/// `track_group`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackGroup {
    /// Name.
    pub name: String,
    /// `group`.
    pub members: Vec<String>,
}

/// `garp_group`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GarpGroup {
    /// `garp_interval`.
    pub garp_interval: Option<Duration>,
    /// `gna_interval`.
    pub gna_interval: Option<Duration>,
    /// `interface`, `interfaces`.
    pub interfaces: Vec<String>,
    /// Made by `interfaces`: the interval is shared by them all.
    pub aggregated: bool,
}

/// One line of `linkbeat_interfaces`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkbeatInterface {
    /// Interface.
    pub interface: String,
    /// `MII`, `ETHTOOL`, `IOCTL`.
    pub method: Option<String>,
}

/// One line of `interface_up_down_delays`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceDelay {
    /// Interface.
    pub interface: String,
    /// Delay of a change to down.
    pub down: Duration,
    /// Delay of a change to up.
    pub up: Duration,
}
