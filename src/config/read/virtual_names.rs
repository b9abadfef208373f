//! Names of the interfaces that are made for instances (`use_vmac`, `use_ipvlan`) and for addresses (`use_vmac`
//! on their line, `use_vmac_addr`), and which interface each address goes to.

use super::Context;
use super::draft::Draft;
use super::vrrp::INTERFACE_NAME;
use crate::config::diagnostic::Class;
use crate::model::IpNetwork;
use crate::model::route::Family;
use crate::model::vrrp::{Instance, virtual_mac};
use std::collections::BTreeMap;

/// `macvlan` mode private.
const PRIVATE: u32 = 1;
/// Numbers tried behind a prefix. 255 VRIDs over one interface in two families leave most of them unused.
const MOST: u32 = 1000;

/// What a virtual interface is: two that are the same are one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Link {
    over: String,
    /// `None` for an ipvlan: no other interface is the same.
    mac: Option<[u8; 6]>,
}

#[derive(Default)]
struct Names {
    taken: BTreeMap<String, Link>,
}

/// Gives the names, in the order of the file.
pub(super) fn assign(drafts: &mut [Draft], context: &mut Context) {
    let mut names = Names::default();
    for draft in drafts.iter_mut() {
        given_name(&mut draft.instance, &mut names, context);
    }
    for draft in drafts.iter_mut() {
        let instance = &mut draft.instance;
        own_name(instance, &mut names, context);
        address_names(instance, &mut names, context);
    }
    disable_shared(drafts, context);
}

/// A name of the file, unless it is already that of another one.
fn given_name(instance: &mut Instance, names: &mut Names, context: &mut Context) {
    let link = own_link(instance);
    let Some(name) = instance
        .virtual_interface()
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
    else {
        return;
    };
    match names.taken.get(&name) {
        Some(other) if *other != link || link.mac.is_none() => {
            let text = format!(
                "({}) interface name {name} is that of another instance's interface - ignoring it",
                instance.name
            );
            context.diagnostics.general(Class::Ok, text);
            if let Some(vmac) = &mut instance.vmac {
                vmac.name.clear();
            }
            if let Some(ipvlan) = &mut instance.ipvlan {
                ipvlan.name.clear();
            }
        }
        _ => drop(names.taken.insert(name, link)),
    }
}

fn own_link(instance: &Instance) -> Link {
    Link {
        over: instance.interface.clone(),
        mac: instance.ipvlan.is_none().then(|| instance.virtual_mac()),
    }
}

fn own_name(instance: &mut Instance, names: &mut Names, context: &mut Context) {
    if instance.virtual_interface().is_none_or(|name| !name.is_empty()) {
        return;
    }
    let prefix = context.config.globals.vmac_prefix.clone();
    let name = names.choose(
        prefix.as_deref().unwrap_or("vrrp"),
        instance.family,
        instance.vrid,
        own_link(instance),
        context,
    );
    if let Some(vmac) = &mut instance.vmac {
        vmac.name.clone_from(&name);
    }
    if let Some(ipvlan) = &mut instance.ipvlan {
        ipvlan.name = name;
    }
}

/// An address without `dev` goes to the instance's own interface, virtual or not. One with it goes to a VMAC over
/// that interface where its line says `use_vmac`, or where the instance says `use_vmac_addr` and it is not the
/// instance's own.
fn address_names(instance: &mut Instance, names: &mut Names, context: &mut Context) {
    let (own, base) = (instance.own_interface().to_owned(), instance.interface.clone());
    let over = instance.virtual_interface().map(|_| base.clone());
    let (name, vrid, all) = (instance.name.clone(), instance.vrid, instance.vmac_addresses);
    let has_vmac = instance.vmac.is_some();
    let given = instance.vmac.as_ref().and_then(|vmac| vmac.mac);
    let globals = &context.config.globals;
    let prefix = globals.vmac_addr_prefix.as_ref().or(globals.vmac_prefix.as_ref());
    let prefix = prefix.cloned().unwrap_or_else(|| "vrrp".into());
    for address in instance.vips.iter_mut().chain(&mut instance.excluded_vips) {
        if all && address.use_vmac {
            let text = format!(
                "({name}) use_vmac_addr specified and use_vmac specified for VIP/eVIP {}",
                shown(&address.network)
            );
            context.diagnostics.hint(None, text);
        }
        if address.interface.is_empty() {
            address.interface.clone_from(&base);
        }
        let elsewhere = address.interface != base;
        let wants = address.use_vmac || (all && (elsewhere || has_vmac));
        if !address.interface_given && !address.use_vmac || wants && has_vmac && !elsewhere {
            address.interface.clone_from(&own);
            address.over.clone_from(&over);
        } else if wants {
            let family = if address.network.address.is_ipv6() {
                Family::Inet6
            } else {
                Family::Inet
            };
            let link = Link {
                over: address.interface.clone(),
                mac: Some(given.unwrap_or_else(|| virtual_mac(family, vrid))),
            };
            address.over = Some(link.over.clone());
            address.interface = names.choose(&prefix, family, vrid, link, context);
        }
    }
}

impl Names {
    /// `PREFIX.VRID`; where another interface has that name `PREFIX6.VRID` for IPv6, then `PREFIX1.VRID` and so
    /// on. What exists already keeps its name.
    fn choose(
        &mut self,
        prefix: &str,
        family: Family,
        vrid: u8,
        link: Link,
        context: &mut Context,
    ) -> String {
        let six = (family == Family::Inet6).then(|| "6".to_owned());
        let numbers = (1..MOST).map(|number| number.to_string());
        let candidates: Vec<String> = std::iter::once(String::new())
            .chain(six)
            .chain(numbers)
            .map(|number| shortened(prefix, &format!("{number}.{vrid}")))
            .take_while(|name| name.len() <= INTERFACE_NAME)
            .collect();
        let known = candidates
            .iter()
            .find(|name| link.mac.is_some() && self.taken.get(*name) == Some(&link));
        if let Some(known) = known {
            return known.clone();
        }
        let free = |name: &&String| !self.taken.contains_key(*name);
        // Few are in use: no more of the kernel's are looked at than that.
        let mut unused = candidates.iter().filter(free).take(16);
        let existing = unused
            .clone()
            .find(|name| exists(name, &link, context) == Some(true));
        let name = existing
            .or_else(|| unused.find(|name| exists(name, &link, context).is_none()))
            .or_else(|| candidates.iter().find(free))
            .cloned()
            .unwrap_or_else(|| format!("vrrp.{vrid}"));
        self.taken.insert(name.clone(), link);
        name
    }
}

/// The prefix is cut where the whole would be too long for the kernel.
fn shortened(prefix: &str, rest: &str) -> String {
    let mut end = prefix.len().min(INTERFACE_NAME.saturating_sub(rest.len()));
    while !prefix.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{rest}", &prefix[..end])
}

/// Whether the kernel's interface of this name is that link; `None` when there is none of that name.
fn exists(name: &str, link: &Link, context: &Context) -> Option<bool> {
    let found = context.host.interface(name)?;
    let private = found.kind.as_deref() == Some("macvlan") && found.macvlan_mode == Some(PRIVATE);
    let mac = link.mac.is_some_and(|mac| found.mac == mac);
    let lower = context.host.interface(&link.over).map(|lower| lower.index);
    Some(private && mac && lower.is_some() && found.lower == lower)
}

/// An address on a VMAC of its own must not share it with another instance that runs on it.
fn disable_shared(drafts: &mut [Draft], context: &mut Context) {
    let mut shared = Vec::new();
    for (at, owner) in drafts.iter().enumerate() {
        let Some(own) = owner.instance.virtual_interface() else {
            continue;
        };
        for (_, other) in drafts.iter().enumerate().filter(|(other, _)| *other != at) {
            let other = &other.instance;
            let uses = other
                .vips
                .iter()
                .chain(&other.excluded_vips)
                .find(|address| address.over.is_some() && address.interface == own);
            if let Some(address) = uses.filter(|_| other.virtual_interface() != Some(own)) {
                shared.push((at, other.name.clone(), address.network));
            }
        }
    }
    for (at, other, network) in shared {
        let instance = &mut drafts[at].instance;
        let (name, network) = (&instance.name, shown(&network));
        let text =
            format!("({other}) VIP/eVIP {network} uses same VMAC as VRRP instance {name}, disabling {name}");
        context.diagnostics.general(Class::General, text);
        instance.config_faults += 1;
    }
}

fn shown(network: &IpNetwork) -> String {
    let full = if network.address.is_ipv4() { 32 } else { 128 };
    match network.prefix {
        prefix if prefix == full => network.address.to_string(),
        prefix => format!("{}/{prefix}", network.address),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{self, DEFAULT_FILE, MemoryHost, ReadOptions};
    use crate::model::Configuration;
    use crate::state::Interface;

    fn read(host: MemoryHost, text: &str) -> (Configuration, Vec<String>) {
        let mut host = host;
        host.interface("eth0");
        host.interface("eth1");
        host.file(DEFAULT_FILE, text);
        let reading = config::read(&host, &ReadOptions::default());
        let lines = reading.diagnostics.iter().map(|d| d.text.clone()).collect();
        (reading.configuration, lines)
    }

    fn instance(name: &str, interface: &str, vrid: u8, more: &str) -> String {
        format!("vrrp_instance {name} {{\n interface {interface}\n virtual_router_id {vrid}\n {more}\n}}\n")
    }

    fn shown(config: &Configuration) -> Vec<String> {
        let mut lines = Vec::new();
        for instance in &config.instances {
            lines.push(format!("{} {}", instance.name, instance.own_interface()));
            for address in &instance.vips {
                let over = address.over.as_deref().unwrap_or("-");
                lines.push(format!(
                    " {} {} {over}",
                    address.network.address, address.interface
                ));
            }
        }
        lines
    }

    /// As recorded from keepalived.
    #[test]
    fn names_and_interfaces_are_keepalived_s() {
        let text = instance(
            "A",
            "eth0",
            51,
            "use_vmac\n virtual_ipaddress {\n 192.0.2.100/24\n 192.0.2.101/24 dev eth1 use_vmac\n }",
        ) + &instance(
            "A6",
            "eth0",
            51,
            "use_vmac\n version 3\n virtual_ipaddress {\n fe80::53\n }",
        ) + &instance(
            "B",
            "eth1",
            51,
            "use_vmac\n virtual_ipaddress {\n 198.51.100.100/24\n }",
        ) + &instance(
            "C",
            "eth1",
            52,
            "use_vmac_addr\n virtual_ipaddress {\n 198.51.100.101/24\n 198.51.100.102/24 dev eth0\n \
                 198.51.100.103/24 dev eth1\n 198.51.100.104/24 dev eth0 use_vmac\n }",
        ) + &instance(
            "D",
            "eth1",
            53,
            "use_vmac\n use_vmac_addr\n virtual_ipaddress {\n 198.51.100.111/24\n 198.51.100.112/24 dev eth0\n \
                 198.51.100.113/24 dev eth1\n }",
        );
        let (config, said) = read(MemoryHost::default(), &text);
        let expected = "A vrrp.51\n 192.0.2.100 vrrp.51 eth0\n 192.0.2.101 vrrp1.51 eth1\n\
            A6 vrrp6.51\n fe80::53 vrrp6.51 eth0\n\
            B vrrp1.51\n 198.51.100.100 vrrp1.51 eth1\n\
            C eth1\n 198.51.100.101 eth1 -\n 198.51.100.102 vrrp.52 eth0\n 198.51.100.103 eth1 -\n \
            198.51.100.104 vrrp.52 eth0\n\
            D vrrp.53\n 198.51.100.111 vrrp.53 eth1\n 198.51.100.112 vrrp1.53 eth0\n 198.51.100.113 vrrp.53 eth1";
        assert_eq!(shown(&config).join("\n"), expected);
        for line in [
            "(A) VIP/eVIP 192.0.2.101/24 uses same VMAC as VRRP instance B, disabling B",
            "(C) use_vmac_addr specified and use_vmac specified for VIP/eVIP 198.51.100.104/24",
        ] {
            assert!(said.iter().any(|said| said == line), "{line}: {said:?}");
        }
        assert_eq!(config.instances[2].config_faults, 1);
    }

    #[test]
    fn prefixes_are_used_and_cut() {
        let globals = "global_defs {\n vmac_prefix longprefix1\n vmac_addr_prefix addr\n}\n";
        let more = |address: &str, other: &str| {
            format!("use_vmac\n virtual_ipaddress {{\n {address}\n {other} dev eth1 use_vmac\n }}")
        };
        let text = instance("A", "eth0", 200, &more("192.0.2.1", "192.0.2.2"))
            + &instance("B", "eth1", 200, &more("192.0.2.3", "192.0.2.4"));
        let (config, _) = read(MemoryHost::default(), &(globals.to_owned() + &text));
        let expected = [
            "A longprefix1.200",
            " 192.0.2.1 longprefix1.200 eth0",
            " 192.0.2.2 addr.200 eth1",
            // The number takes the place of the prefix's end.
            "B longprefix2.200",
        ];
        assert_eq!(shown(&config)[..4], expected);
    }

    #[test]
    fn a_name_is_given_once() {
        let text = instance(
            "A",
            "eth0",
            1,
            "use_vmac vm\n virtual_ipaddress {\n 192.0.2.1\n }",
        ) + &instance(
            "B",
            "eth1",
            2,
            "use_vmac vm\n virtual_ipaddress {\n 192.0.2.2\n }",
        );
        let (config, said) = read(MemoryHost::default(), &text);
        let own: Vec<&str> = config.instances.iter().map(|i| i.own_interface()).collect();
        assert_eq!(own, ["vm", "vrrp.2"]);
        let line = "(B) interface name vm is that of another instance's interface - ignoring it";
        assert!(said.iter().any(|said| said == line), "{said:?}");
    }

    #[test]
    fn what_is_there_keeps_its_name_and_strangers_keep_theirs() {
        let existing = |name: &str, index, lower, mac: &[u8]| Interface {
            name: name.into(),
            index,
            lower: Some(lower),
            mac: mac.to_vec(),
            kind: Some("macvlan".into()),
            macvlan_mode: Some(1),
            ..Interface::default()
        };
        let mut host = MemoryHost::default();
        host.interfaces
            .insert("vrrp.7".into(), existing("vrrp.7", 70, 99, &[2, 0, 0, 0, 0, 1]));
        let (config, _) = read(
            host,
            &instance("A", "eth0", 7, "use_vmac\n virtual_ipaddress {\n 192.0.2.1\n }"),
        );
        assert_eq!(config.instances[0].own_interface(), "vrrp1.7");
    }
}
