//! Rules of the routing policy: the requests that add and remove them, and what the kernel tells of them.

use super::channel::Batch;
use super::message::{Message, attributes, text_of, u16_at, u32_at};
use super::objects::Action;
use super::routes::{family, family_number, masked, network};
use crate::model::IpNetwork;
use crate::model::route::{Family, Rule, RuleAction};
use std::fmt;

const HEADER: usize = 12;
const FIB_RULE_INVERT: u32 = 2;
const FR_ACT_TO_TBL: u8 = 1;
const FR_ACT_GOTO: u8 = 2;
const FR_ACT_NOP: u8 = 3;
const FR_ACT_BLACKHOLE: u8 = 6;
const FR_ACT_UNREACHABLE: u8 = 7;
const FR_ACT_PROHIBIT: u8 = 8;
const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_GOTO: u16 = 4;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_FLOW: u16 = 11;
const FRA_TUN_ID: u16 = 12;
const FRA_SUPPRESS_IFGROUP: u16 = 13;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_OIFNAME: u16 = 17;
const FRA_L3MDEV: u16 = 19;
const FRA_UID_RANGE: u16 = 20;
const FRA_PROTOCOL: u16 = 21;
const FRA_IP_PROTO: u16 = 22;
const FRA_SPORT_RANGE: u16 = 23;
const FRA_DPORT_RANGE: u16 = 24;

/// All that the kernel tells rules apart by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleKey {
    family: Family,
    priority: u32,
    invert: bool,
    from: Option<IpNetwork>,
    to: Option<IpNetwork>,
    tos: u8,
    fwmark: u32,
    fwmask: u32,
    realms: u32,
    /// -1 is none.
    suppress_prefix_length: u32,
    /// -1 is none.
    suppress_group: u32,
    input_interface: Option<String>,
    output_interface: Option<String>,
    tunnel_id: u64,
    uid_range: Option<(u32, u32)>,
    protocol: u8,
    ip_protocol: u8,
    source_ports: Option<(u16, u16)>,
    destination_ports: Option<(u16, u16)>,
    l3mdev: bool,
    action: u8,
    /// Table, or where `goto` goes.
    target: u32,
}

impl RuleKey {
    /// Of a configured rule.
    pub fn of(rule: &Rule) -> RuleKey {
        let (fwmark, mask) = rule.fwmark.unwrap_or((0, None));
        let (action, target) = action(&rule.action);
        let given = |network: Option<IpNetwork>| network.map(masked).filter(|network| network.prefix > 0);
        RuleKey {
            family: rule.family,
            priority: rule.priority,
            invert: rule.invert,
            from: given(rule.from),
            to: given(rule.to),
            tos: rule.tos,
            fwmark,
            fwmask: mask.unwrap_or(if fwmark == 0 { 0 } else { u32::MAX }),
            realms: rule.realms.unwrap_or(0),
            suppress_prefix_length: rule.suppress_prefix_length.unwrap_or(u32::MAX),
            suppress_group: rule.suppress_group.unwrap_or(u32::MAX),
            input_interface: rule.input_interface.clone(),
            output_interface: rule.output_interface.clone(),
            tunnel_id: rule.tunnel_id.unwrap_or(0),
            uid_range: rule.uid_range,
            protocol: rule.protocol.unwrap_or(0),
            ip_protocol: rule.ip_protocol.unwrap_or(0),
            source_ports: rule.source_ports,
            destination_ports: rule.destination_ports,
            l3mdev: rule.action == RuleAction::L3Mdev,
            action,
            target,
        }
    }

    /// It asks for this interface.
    pub fn names(&self, interface: &str) -> bool {
        [&self.input_interface, &self.output_interface]
            .iter()
            .any(|name| name.as_deref() == Some(interface))
    }

    /// Of a rule that the kernel tells of.
    pub fn read(message: &Message<'_>) -> Option<RuleKey> {
        let payload = message.payload;
        let family = family(*payload.first()?)?;
        let (to, from) = (*payload.get(1)?, *payload.get(2)?);
        let mut rule = RuleKey {
            family,
            priority: 0,
            invert: u32_at(payload, 8)? & FIB_RULE_INVERT != 0,
            from: None,
            to: None,
            tos: *payload.get(3)?,
            fwmark: 0,
            fwmask: 0,
            realms: 0,
            suppress_prefix_length: u32::MAX,
            suppress_group: u32::MAX,
            input_interface: None,
            output_interface: None,
            tunnel_id: 0,
            uid_range: None,
            protocol: 0,
            ip_protocol: 0,
            source_ports: None,
            destination_ports: None,
            l3mdev: false,
            action: *payload.get(7)?,
            target: 0,
        };
        let (mut table, mut jump) = (u32::from(*payload.get(4)?), 0);
        let ports = |value| Some((u16_at(value, 0)?, u16_at(value, 2)?));
        for (kind, value) in attributes(payload, HEADER) {
            match kind {
                FRA_DST => rule.to = Some(network(family, value, to)),
                FRA_SRC => rule.from = Some(network(family, value, from)),
                FRA_IIFNAME => rule.input_interface = Some(text_of(value)),
                FRA_OIFNAME => rule.output_interface = Some(text_of(value)),
                FRA_GOTO => jump = u32_at(value, 0)?,
                FRA_PRIORITY => rule.priority = u32_at(value, 0)?,
                FRA_FWMARK => rule.fwmark = u32_at(value, 0)?,
                FRA_FWMASK => rule.fwmask = u32_at(value, 0)?,
                FRA_FLOW => rule.realms = u32_at(value, 0)?,
                FRA_TUN_ID => rule.tunnel_id = u64::from_be_bytes(*value.first_chunk()?),
                FRA_SUPPRESS_IFGROUP => rule.suppress_group = u32_at(value, 0)?,
                FRA_SUPPRESS_PREFIXLEN => rule.suppress_prefix_length = u32_at(value, 0)?,
                FRA_TABLE => table = u32_at(value, 0)?,
                FRA_L3MDEV => rule.l3mdev = *value.first()? != 0,
                FRA_UID_RANGE => rule.uid_range = Some((u32_at(value, 0)?, u32_at(value, 4)?)),
                FRA_PROTOCOL => rule.protocol = *value.first()?,
                FRA_IP_PROTO => rule.ip_protocol = *value.first()?,
                FRA_SPORT_RANGE => rule.source_ports = ports(value),
                FRA_DPORT_RANGE => rule.destination_ports = ports(value),
                _ => {}
            }
        }
        rule.target = match rule.action {
            FR_ACT_TO_TBL => table,
            FR_ACT_GOTO => jump,
            _ => 0,
        };
        Some(rule)
    }
}

impl fmt::Display for RuleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "with preference {}", self.priority)?;
        if let Some(from) = &self.from {
            write!(f, " from {}/{}", from.address, from.prefix)?;
        }
        if let Some(to) = &self.to {
            write!(f, " to {}/{}", to.address, to.prefix)?;
        }
        match self.action {
            FR_ACT_TO_TBL if !self.l3mdev => write!(f, " lookup {}", self.target),
            _ => Ok(()),
        }
    }
}

/// Writes one request.
pub(super) fn write(batch: &mut Batch<'_>, change: Action, rule: &Rule) {
    let (kind, flags) = match change {
        Action::Add => (libc::RTM_NEWRULE, libc::NLM_F_CREATE | libc::NLM_F_EXCL),
        Action::Remove => (libc::RTM_DELRULE, 0),
    };
    let writer = batch.begin(kind, flags);
    let key = RuleKey::of(rule);
    let prefix = |network: Option<IpNetwork>| network.map_or(0, |network| network.prefix);
    let table = if key.action == FR_ACT_TO_TBL {
        key.target
    } else {
        0
    };
    writer.put(&[
        family_number(rule.family),
        prefix(key.to),
        prefix(key.from),
        rule.tos,
        u8::try_from(table).unwrap_or(0),
        0,
        0,
        key.action,
    ]);
    writer.put(&(if rule.invert { FIB_RULE_INVERT } else { 0 }).to_ne_bytes());
    if let Some(to) = key.to {
        writer.attribute_ip(FRA_DST, to.address);
    }
    if let Some(from) = key.from {
        writer.attribute_ip(FRA_SRC, from.address);
    }
    writer.attribute(FRA_PRIORITY, &rule.priority.to_ne_bytes());
    let mut number = |kind: u16, value: Option<u32>| {
        if let Some(value) = value {
            writer.attribute(kind, &value.to_ne_bytes());
        }
    };
    number(FRA_TABLE, (table != 0).then_some(table));
    number(FRA_GOTO, (key.action == FR_ACT_GOTO).then_some(key.target));
    number(FRA_FWMARK, rule.fwmark.map(|(mark, _)| mark));
    number(FRA_FWMASK, rule.fwmark.and_then(|(_, mask)| mask));
    number(FRA_FLOW, rule.realms);
    number(FRA_SUPPRESS_PREFIXLEN, rule.suppress_prefix_length);
    number(FRA_SUPPRESS_IFGROUP, rule.suppress_group);
    if let Some(name) = &rule.input_interface {
        writer.attribute_text(FRA_IIFNAME, name);
    }
    if let Some(name) = &rule.output_interface {
        writer.attribute_text(FRA_OIFNAME, name);
    }
    if let Some(id) = rule.tunnel_id {
        writer.attribute(FRA_TUN_ID, &id.to_be_bytes());
    }
    if key.l3mdev {
        writer.attribute(FRA_L3MDEV, &[1]);
    }
    if let Some((first, last)) = rule.uid_range {
        writer.attribute(FRA_UID_RANGE, &[first.to_ne_bytes(), last.to_ne_bytes()].concat());
    }
    if let Some(protocol) = rule.protocol {
        writer.attribute(FRA_PROTOCOL, &[protocol]);
    }
    if let Some(protocol) = rule.ip_protocol {
        writer.attribute(FRA_IP_PROTO, &[protocol]);
    }
    for (kind, ports) in [
        (FRA_SPORT_RANGE, rule.source_ports),
        (FRA_DPORT_RANGE, rule.destination_ports),
    ] {
        if let Some((first, last)) = ports {
            writer.attribute(kind, &[first.to_ne_bytes(), last.to_ne_bytes()].concat());
        }
    }
    writer.end();
}

fn action(action: &RuleAction) -> (u8, u32) {
    match action {
        RuleAction::Table(table) => (FR_ACT_TO_TBL, *table),
        RuleAction::L3Mdev => (FR_ACT_TO_TBL, 0),
        RuleAction::Goto(target) => (FR_ACT_GOTO, *target),
        RuleAction::Nop => (FR_ACT_NOP, 0),
        RuleAction::Blackhole => (FR_ACT_BLACKHOLE, 0),
        RuleAction::Unreachable => (FR_ACT_UNREACHABLE, 0),
        RuleAction::Prohibit => (FR_ACT_PROHIBIT, 0),
    }
}
