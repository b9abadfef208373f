//! KEEPALIVED-MIB: global settings.

use super::keepalived;
use crate::model::globals::{DynamicInterfaces, LvsFlushOnStop};
use crate::serve::snmp::tree::{Tree, address, address_type, gauge, row, truth};
use crate::state::snapshot::Snapshot;
use crate::wire::agentx::Value;

pub(super) fn put(snapshot: &Snapshot, version: &str, tree: &mut Tree) {
    let globals = &snapshot.config.globals;
    let mut scalar = |at: &[u32], value| tree.put(keepalived(&[&[1], at, &[0]].concat()), value);
    scalar(&[1], Value::text(version));
    scalar(&[2], Value::text(&globals.router_id));
    match &globals.smtp_server {
        Some(server) => {
            if let Some(found) = &server.address {
                scalar(&[3, 1], address_type(found));
                scalar(&[3, 2], address(found));
            }
            scalar(&[3, 3], gauge(globals.smtp_connect_timeout.as_secs()));
            scalar(&[3, 6], gauge(u32::from(server.port)));
        }
        None => {
            scalar(&[3, 1], Value::Integer(2));
            scalar(&[3, 2], Value::Octets(vec![0; 4]));
            scalar(&[3, 3], gauge(0u32));
            scalar(&[3, 6], gauge(0u32));
        }
    }
    if let Some(from) = &globals.notification_email_from {
        scalar(&[3, 4], Value::text(from));
    }
    scalar(&[3, 7], truth(!globals.no_email_faults));
    let alert = |setting: Option<bool>| setting.map_or(Value::Integer(3), truth);
    scalar(&[3, 8], alert(globals.smtp_alert));
    scalar(&[3, 9], alert(globals.smtp_alert_vrrp));
    scalar(&[3, 10], alert(globals.smtp_alert_checker));
    scalar(&[4], truth(globals.enable_traps));
    scalar(&[5], truth(!globals.linkbeat_use_polling));
    scalar(&[6], truth(globals.lvs_flush));
    // Counters of 64 bits are there.
    scalar(&[7], truth(true));
    scalar(
        &[8],
        Value::text(globals.net_namespace.as_deref().unwrap_or_default()),
    );
    scalar(&[9], truth(globals.enable_dbus));
    scalar(
        &[10],
        truth(globals.dynamic_interfaces != DynamicInterfaces::default()),
    );
    scalar(
        &[11],
        Value::Integer(match globals.lvs_flush_on_stop {
            LvsFlushOnStop::All => 1,
            LvsFlushOnStop::No => 2,
            LvsFlushOnStop::VirtualServers => 3,
        }),
    );
    scalar(&[12], truth(globals.v3_checksum_as_v2));
    let mut emails = tree.table(&keepalived(&[1, 3, 5, 1]));
    for (at, email) in globals.notification_emails.iter().enumerate() {
        emails.put(2, &[row(at)], Value::text(email));
    }
}
