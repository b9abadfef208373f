//! The typed, validated configuration: plain data, as keepalived.conf(5) means it.
//!
//! Everything here is what a file says after reading and after keepalived's own adjustments
//! ("setting version 3", "rounding", ...), with every inherited default resolved. What depends on the
//! host at run time (a source address taken from an interface, say) is not here.

pub mod address;
pub mod bfd;
pub mod checker;
pub mod globals;
pub mod lvs;
pub mod route;
pub mod script;
pub mod secret;
pub mod track;
pub mod vrrp;

pub use address::{Address, AddressFlags, IpNetwork, Lifetime};
pub use globals::Globals;
pub use script::{Command, Identity, NotifyScript};
pub use track::{TrackFile, TrackProcess, TrackScript, Tracked};
pub use vrrp::{Instance, SyncGroup};

/// A whole configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Configuration {
    /// `global_defs` and the keywords that stand beside it.
    pub globals: Globals,
    /// `track_group`.
    pub track_groups: Vec<vrrp::TrackGroup>,
    /// `static_ipaddress`.
    pub static_addresses: Vec<Address>,
    /// `static_routes`.
    pub static_routes: Vec<route::Route>,
    /// `static_rules`.
    pub static_rules: Vec<route::Rule>,
    /// `garp_group`.
    pub garp_groups: Vec<vrrp::GarpGroup>,
    /// `linkbeat_interfaces`.
    pub linkbeat_interfaces: Vec<vrrp::LinkbeatInterface>,
    /// `interface_up_down_delays`.
    pub interface_delays: Vec<vrrp::InterfaceDelay>,
    /// `vrrp_sync_group`.
    pub sync_groups: Vec<SyncGroup>,
    /// `vrrp_instance`, in the order of the file.
    pub instances: Vec<Instance>,
    /// `vrrp_script`. Those that nothing uses are gone, as in keepalived.
    pub scripts: Vec<TrackScript>,
    /// `track_file`.
    pub files: Vec<TrackFile>,
    /// `vrrp_track_process`.
    pub processes: Vec<TrackProcess>,
    /// `bfd_instance`.
    pub bfd: Vec<bfd::BfdInstance>,
    /// `virtual_server`, `virtual_server_group`, `SSL`.
    pub lvs: lvs::Lvs,
}
