//! A VRRP instance while it is being read: what the file gives, apart from what it leaves open.

use super::Context;
use crate::config::diagnostic::{Class, Span};
use crate::config::line::Line;
use crate::model::Address;
use crate::model::route::Family;
use crate::model::script::NotifyScripts;
use crate::model::secret::Password;
use crate::model::vrrp::{Accept, Authentication, Garp, InitialState, Instance, UnicastChecksum, Version};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// `auth_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AuthType {
    Pass,
    Ah,
}

/// Gratuitous ARP settings that the instance itself has.
#[derive(Debug, Default)]
pub(super) struct GivenGarp {
    pub master_delay: Option<Duration>,
    pub master_repeat: Option<u32>,
    pub refresh: Option<Duration>,
    pub refresh_repeat: Option<u32>,
    pub lower_prio_delay: Option<Duration>,
    pub lower_prio_repeat: Option<u32>,
    pub extra_interface: Option<(Duration, bool)>,
}

/// What the file gives where there is an inherited default or a decision that needs all of the block.
#[derive(Debug)]
pub(super) struct Given {
    pub version: Option<Version>,
    pub family: Option<Family>,
    pub state: Option<InitialState>,
    pub priority: Option<u8>,
    pub advert_interval: Duration,
    pub unicast: bool,
    pub unicast_ttl: Option<u8>,
    pub multicast_group: Option<IpAddr>,
    pub strict: Option<bool>,
    pub accept: Option<Accept>,
    pub auth_type: Option<AuthType>,
    pub auth_pass: Option<Password>,
    pub hmac: Option<super::hmac::HmacDraft>,
    pub garp: GivenGarp,
    pub xmit_base: bool,
    pub down_timer_adverts: Option<u32>,
    pub v3_checksum_as_v2: Option<bool>,
    pub skip_check_adv_addr: Option<bool>,
    pub lower_prio_no_advert: Option<bool>,
    pub higher_prio_send_advert: Option<bool>,
    pub owner_ignore_adverts: Option<bool>,
    pub smtp_alert: Option<bool>,
    pub notify_priority_changes: Option<bool>,
}

/// An instance being read.
#[derive(Debug)]
pub(super) struct Draft {
    pub instance: Instance,
    pub given: Given,
    pub header: Span,
    seen: BTreeSet<(IpAddr, u8, bool)>,
}

impl Draft {
    /// An instance of which nothing is known but its name.
    pub fn new(name: &str, header: Span) -> Self {
        Draft {
            instance: Instance {
                name: name.to_owned(),
                line: header.line,
                file: String::new(),
                version: Version::V2,
                family: Family::Inet,
                native_ipv6: false,
                initial_state: InitialState::Backup,
                interface: String::new(),
                vrf: None,
                vrid: 0,
                priority: 100,
                advert_interval: Duration::from_secs(1),
                vips: Vec::new(),
                excluded_vips: Vec::new(),
                no_vips: false,
                routes: Vec::new(),
                rules: Vec::new(),
                static_interfaces: Vec::new(),
                authentication: Authentication::None,
                auth_hmac: None,
                source: None,
                track_source: false,
                multicast_group: IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18)),
                unicast: false,
                peers: Vec::new(),
                unicast_fault_no_peer: false,
                check_unicast_source: false,
                unicast_ttl: None,
                unicast_checksum: UnicastChecksum::Auto,
                v3_checksum_as_v2: false,
                skip_check_adv_addr: false,
                strict: false,
                accept: Accept::Enabled,
                nopreempt: false,
                preempt_delay: Duration::ZERO,
                down_timer_adverts: 3,
                lower_prio_no_advert: false,
                higher_prio_send_advert: false,
                owner_ignore_adverts: false,
                timer_expired_backup: None,
                garp: Garp {
                    master_delay: Duration::from_secs(5),
                    master_repeat: 5,
                    refresh: Duration::ZERO,
                    refresh_repeat: 1,
                    lower_prio_delay: Duration::from_secs(5),
                    lower_prio_repeat: 5,
                    extra_interface: Duration::ZERO,
                    extra_interface_all: false,
                },
                kernel_rx_buffer: None,
                vmac: None,
                vmac_addresses: false,
                ipvlan: None,
                dont_track_primary: false,
                track_interfaces: Vec::new(),
                track_scripts: Vec::new(),
                track_files: Vec::new(),
                track_processes: Vec::new(),
                track_bfd: Vec::new(),
                promote_secondaries: false,
                linkbeat_polling: false,
                debug: 0,
                notify: NotifyScripts::default(),
                notify_deleted: false,
                notify_priority_changes: false,
                smtp_alert: false,
                config_faults: 0,
                sync_group: None,
            },
            given: Given {
                version: None,
                family: None,
                state: None,
                priority: None,
                advert_interval: Duration::from_secs(1),
                unicast: false,
                unicast_ttl: None,
                multicast_group: None,
                strict: None,
                accept: None,
                auth_type: None,
                auth_pass: None,
                hmac: None,
                garp: GivenGarp::default(),
                xmit_base: false,
                down_timer_adverts: None,
                v3_checksum_as_v2: None,
                skip_check_adv_addr: None,
                lower_prio_no_advert: None,
                higher_prio_send_advert: None,
                owner_ignore_adverts: None,
                smtp_alert: None,
                notify_priority_changes: None,
            },
            header,
            seen: BTreeSet::new(),
        }
    }

    /// Adds an address, unless it is there already.
    pub fn add_address(&mut self, address: Address, excluded: bool, line: &Line, context: &mut Context) {
        let key = (address.network.address, 0, false);
        if !self.seen.insert(key) {
            let kind = if excluded { "eVIP" } else { "VIP" };
            let text = format!(
                "({}): VIP duplicates a {} {} - ignoring",
                self.instance.name, kind, address.network.address
            );
            context.diagnostics.at(Class::General, line.span_of(0), text);
            return;
        }
        if excluded {
            self.instance.excluded_vips.push(address);
        } else {
            self.instance.vips.push(address);
        }
    }
}
