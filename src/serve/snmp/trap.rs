//! Notifications: which objects they carry. As in keepalived's, the objects of KEEPALIVED-MIB come without the
//! index of their row.

use super::mib::{self, keepalived, vrrp2, vrrp3};
use super::tree::{address, address_type, gauge, integer, truth};
use super::{Refusal, mib::History};
use crate::model::Configuration;
use crate::state::VrrpState;
use crate::state::lvs::{LvsNotification, LvsSnapshot};
use crate::state::snapshot::InstanceSnapshot;
use crate::wire::agentx::{Binding, Oid, Value};
use std::net::IpAddr;

/// `snmpTrapOID.0`.
const TRAP_OID: [u32; 11] = [1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0];

/// vrrpInstanceStateChange.
pub fn instance(config: &Configuration, name: &str, state: VrrpState) -> Vec<Binding> {
    let instance = config.instances.iter().find(|instance| instance.name == name);
    // One that a reload has removed has no initial state any more.
    let initial = instance.map(|instance| mib::initial_state(instance.initial_state));
    let mut bindings = begin(keepalived(&[2, 10, 0, 2]));
    bindings.push((keepalived(&[2, 3, 1, 2]), Value::text(name)));
    bindings.push((keepalived(&[2, 3, 1, 4]), mib::state(state)));
    bindings.push((keepalived(&[2, 3, 1, 5]), initial.unwrap_or(Value::Integer(4))));
    bindings.push(router(config));
    bindings
}

/// vrrpSyncGroupStateChange.
pub fn group(config: &Configuration, name: &str, state: VrrpState) -> Vec<Binding> {
    let mut bindings = begin(keepalived(&[2, 10, 0, 1]));
    bindings.push((keepalived(&[2, 1, 1, 2]), Value::text(name)));
    bindings.push((keepalived(&[2, 1, 1, 3]), mib::state(state)));
    bindings.push(router(config));
    bindings
}

/// vrrpTrapNewMaster.
pub fn new_master2(instance: &InstanceSnapshot) -> Vec<Binding> {
    let mut bindings = begin(vrrp2(&[0, 1]));
    let name = [&[1, 3, 1, 7], &mib::index2(instance)[..]].concat();
    bindings.push((vrrp2(&name), mib::ipv4(instance.source)));
    bindings
}

/// vrrpv3NewMaster.
pub fn new_master3(instance: &InstanceSnapshot, history: History) -> Vec<Binding> {
    let index = mib::index3(instance);
    let mut bindings = begin(vrrp3(&[0, 1]));
    let name = [&[1, 1, 1, 1, 3], &index[..]].concat();
    let ipv6 = instance.config.family == crate::model::route::Family::Inet6;
    bindings.push((vrrp3(&name), mib::address_or_zeros(instance.source, ipv6)));
    let name = [&[1, 2, 5, 1, 2], &index[..]].concat();
    bindings.push((vrrp3(&name), Value::Integer(history.reason)));
    bindings
}

/// vrrpTrapAuthFailure, vrrpv3ProtoError.
pub fn refused(instance: &InstanceSnapshot, refusal: Refusal, peer: Option<IpAddr>) -> Vec<Binding> {
    match refusal {
        Refusal::Protocol(reason) => {
            let mut bindings = begin(vrrp3(&[0, 2]));
            let name = [&[1, 2, 5, 1, 6], &mib::index3(instance)[..]].concat();
            bindings.push((vrrp3(&name), Value::Integer(reason)));
            bindings
        }
        Refusal::Authentication(kind) => {
            let index = mib::index2(instance);
            let mut bindings = begin(vrrp2(&[0, 2]));
            let name = [&[1, 5], &index[..]].concat();
            bindings.push((vrrp2(&name), mib::ipv4(peer)));
            let name = [&[1, 6], &index[..]].concat();
            bindings.push((vrrp2(&name), Value::Integer(kind)));
            bindings
        }
    }
}

/// realServerStateChange, virtualServerQuorumStateChange; none when the server is not there any more.
pub fn lvs(config: &Configuration, told: &LvsNotification, lvs: &LvsSnapshot) -> Option<Vec<Binding>> {
    let name = |view: &&crate::state::lvs::ServerView| view.config.to_string() == told.server;
    let view = lvs.servers.iter().find(name)?;
    let server = &view.config;
    let mut bindings;
    if let Some(real) = &told.real {
        let found = server
            .real_servers
            .iter()
            .find(|one| server.real_server_name(one.address, one.port) == *real)?;
        bindings = begin(keepalived(&[3, 5, 0, 1]));
        bindings.push((keepalived(&[3, 4, 1, 3]), address_type(&found.address)));
        bindings.push((keepalived(&[3, 4, 1, 4]), address(&found.address)));
        bindings.push((keepalived(&[3, 4, 1, 5]), gauge(found.port)));
        bindings.push((keepalived(&[3, 4, 1, 6]), truth(told.up)));
    } else {
        bindings = begin(keepalived(&[3, 5, 0, 2]));
    }
    for (column, value) in mib::server_identity(server) {
        bindings.push((keepalived(&[3, 3, 1, column]), value));
    }
    let protocol = mib::server_protocol(server.protocol);
    bindings.push((keepalived(&[3, 3, 1, 8]), integer(protocol)));
    if told.real.is_none() {
        let status = match (told.stopping, told.up) {
            (true, _) => 3,
            (false, true) => 1,
            (false, false) => 2,
        };
        bindings.push((keepalived(&[3, 3, 1, 23]), Value::Integer(status)));
        bindings.push((keepalived(&[3, 3, 1, 22]), gauge(server.quorum)));
    }
    bindings.push((keepalived(&[3, 3, 1, 21]), gauge(mib::servers_up(view))));
    bindings.push((keepalived(&[3, 3, 1, 20]), gauge(view.reals.len())));
    bindings.push(router(config));
    Some(bindings)
}

fn begin(notification: Oid) -> Vec<Binding> {
    vec![(TRAP_OID.to_vec(), Value::Oid(notification))]
}

fn router(config: &Configuration) -> Binding {
    (keepalived(&[1, 2, 0]), Value::text(&config.globals.router_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, DEFAULT_FILE, MemoryHost, ReadOptions};
    use crate::lvs::{Lvs, LvsSettings};
    use crate::state::lvs::LvsEffect;

    /// What keepalived 2.4.3 sends: numbers of the objects below .3, in its order.
    #[test]
    fn servers_are_notified_with_keepalived_s_objects() {
        let mut host = MemoryHost::default();
        host.file(
            DEFAULT_FILE,
            "global_defs {\n router_id LAB\n}\nvirtual_server 192.0.2.100 80 {\n protocol TCP\n\
             real_server 198.51.100.2 80 {\n TCP_CHECK {\n }\n}\nreal_server 198.51.100.3 80 {\n TCP_CHECK {\n }\n}\n}\n",
        );
        let config = config::read(&host, &ReadOptions::default()).configuration;
        let mut servers = Lvs::default();
        let mut effects = Vec::new();
        let settings = LvsSettings { init_notifies: true };
        servers.configure(&config.lvs, settings, &mut effects);
        let told: Vec<_> = effects
            .into_iter()
            .filter_map(|effect| match effect {
                LvsEffect::Notify(told) => Some(told),
                _ => None,
            })
            .collect();
        let snapshot = servers.snapshot();
        let columns = |told: &LvsNotification| -> Vec<Vec<u32>> {
            let bindings = lvs(&config, told, &snapshot).unwrap();
            let below = |name: &Oid| name.get(9..).unwrap_or_default().to_vec();
            bindings.iter().map(|(name, _)| below(name)).collect()
        };
        let tail = vec![vec![3, 3, 1, 21], vec![3, 3, 1, 20], vec![1, 2, 0]];
        let identity = vec![
            vec![3, 3, 1, 2],
            vec![3, 3, 1, 5],
            vec![3, 3, 1, 6],
            vec![3, 3, 1, 7],
            vec![3, 3, 1, 8],
        ];
        let real = told.iter().find(|told| told.real.is_some()).unwrap();
        let object = vec![
            vec![1, 0],
            vec![3, 4, 1, 3],
            vec![3, 4, 1, 4],
            vec![3, 4, 1, 5],
            vec![3, 4, 1, 6],
        ];
        assert_eq!(columns(real), [object, identity.clone(), tail.clone()].concat());
        let server = told.iter().find(|told| told.real.is_none()).unwrap();
        let quorum = vec![vec![3, 3, 1, 23], vec![3, 3, 1, 22]];
        assert_eq!(
            columns(server),
            [vec![vec![1, 0]], identity, quorum, tail].concat()
        );
        let gone = LvsNotification {
            server: "[192.0.2.9]:tcp:80".into(),
            ..server.clone()
        };
        assert_eq!(lvs(&config, &gone, &snapshot), None);
    }
}
