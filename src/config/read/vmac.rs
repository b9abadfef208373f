//! `use_vmac` and `use_ipvlan`.

use super::draft::Draft;
use super::vrrp::{INTERFACE_NAME, family_of, group_number};
use super::{Context, Flow};
use crate::config::diagnostic::Class;
use crate::config::line::Line;
use crate::model::IpNetwork;
use crate::model::vrrp::{Ipvlan, Vmac};

/// `macvlan` mode private.
const PRIVATE: u32 = 1;

/// The keywords of virtual interfaces; `None` for others.
pub(super) fn keyword(draft: &mut Draft, keyword: &str, line: &Line, context: &mut Context) -> Option<Flow> {
    match keyword {
        "use_vmac" => vmac(draft, line, context),
        "use_vmac_addr" => draft.instance.vmac_addresses = true,
        "vmac_xmit_base" => {
            draft.given.xmit_base = true;
        }
        "use_ipvlan" => ipvlan(draft, line, context),
        _ => return None,
    }
    Some(Flow::Continue)
}

fn say(line: &Line, index: usize, text: String, context: &mut Context) {
    context.diagnostics.at(Class::General, line.span_of(index), text);
}

fn vmac(draft: &mut Draft, line: &Line, context: &mut Context) {
    let name = draft.instance.name.clone();
    if draft.instance.ipvlan.is_some() {
        let text = format!("({name}) use_vmac cannot be used with use_ipvlan - ignoring");
        say(line, 0, text, context);
        return;
    }
    let mut vmac = Vmac::default();
    let mut index = 1;
    while let Some(word) = line.text(index) {
        match word {
            "netlink_notify_msg" => vmac.netlink_notify = true,
            "group" => {
                index += 1;
                vmac.group = group_number(line, index, context);
                if vmac.group.is_none() {
                    let text = format!("({name}) invalid interface group - ignoring");
                    say(line, index, text, context);
                }
            }
            "name" => {
                index += 1;
                interface_name(&mut vmac, &name, line, index, context);
            }
            _ => match mac(word) {
                Some(octets) => match octets[..] {
                    [a, b, c, d, e, f] => vmac.mac = Some([a, b, c, d, e, f]),
                    [a, b, c, d, e] => vmac.mac = Some([a, b, c, d, e, draft.instance.vrid]),
                    _ => {}
                },
                None => interface_name(&mut vmac, &name, line, index, context),
            },
        }
        index += 1;
    }
    if vmac
        .mac
        .is_some_and(|m| m[0] & 1 != 0 || m[..4] == [0, 0, 0x5e, 0])
    {
        let text = format!("({name}) multicast or RFC5798 MAC address - ignoring");
        say(line, 1, text, context);
        vmac.mac = None;
    }
    draft.instance.vmac = Some(vmac);
}

fn interface_name(vmac: &mut Vmac, name: &str, line: &Line, index: usize, context: &mut Context) {
    let Some(word) = line.text(index) else {
        return;
    };
    if word.len() > INTERFACE_NAME {
        let text = format!("VMAC interface name '{word}' too long or invalid characters - ignoring");
        say(line, index, text, context);
        return;
    }
    if let Some(existing) = context.host.interface(word) {
        let private = existing.kind.as_deref() == Some("macvlan") && existing.macvlan_mode == Some(PRIVATE);
        if !private {
            let text = format!(
                "({name}) interface {word} already exists and is not a private macvlan; ignoring vmac if_name"
            );
            say(line, index, text, context);
            return;
        }
    }
    vmac.name = word.to_owned();
    vmac.name_given = true;
}

/// Five or six octets.
fn mac(word: &str) -> Option<Vec<u8>> {
    let octets: Option<Vec<u8>> = word
        .split([':', '-'])
        .map(|o| u8::from_str_radix(o, 16).ok())
        .collect();
    octets.filter(|o| o.len() == 5 || o.len() == 6)
}

fn ipvlan(draft: &mut Draft, line: &Line, context: &mut Context) {
    let name = draft.instance.name.clone();
    if draft.instance.vmac.is_some() {
        let text = format!("({name}) use_ipvlan cannot be used with use_vmac - ignoring");
        say(line, 0, text, context);
        return;
    }
    let mut ipvlan = Ipvlan::default();
    let mut index = 1;
    while let Some(word) = line.text(index) {
        match word {
            "bridge" => ipvlan.kind = 0,
            "private" => ipvlan.kind = 1,
            "vepa" => ipvlan.kind = 2,
            "group" => {
                index += 1;
                ipvlan.group = group_number(line, index, context);
            }
            _ => match network(word) {
                Some(network) => {
                    ipvlan.address = Some(network);
                    draft.given.family.get_or_insert(family_of(network.address));
                }
                None => {
                    let at = if word == "name" { index + 1 } else { index };
                    index = at;
                    match line.text(at) {
                        Some(given) if given.len() <= INTERFACE_NAME => {
                            ipvlan.name = given.to_owned();
                        }
                        Some(given) => {
                            let text =
                                format!("({name}) ipvlan interface name '{given}' too long - ignoring");
                            say(line, at, text, context);
                        }
                        None => {}
                    }
                }
            },
        }
        index += 1;
    }
    draft.instance.ipvlan = Some(ipvlan);
}

fn network(word: &str) -> Option<IpNetwork> {
    let (address, prefix) = match word.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (word, None),
    };
    let address: std::net::IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => most,
        Some(text) => text.parse().ok().filter(|p| *p <= most)?,
    };
    Some(IpNetwork { address, prefix })
}
