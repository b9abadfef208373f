//! What IPVS refuses, in keepalived's words: `IPVS cmd IP_VS_SO_SET_ADD(1154) error: ...`.

use crate::model::lvs::Protocol;
use crate::state::lvs::{DestinationKey, Operation, ServiceKey};
use std::net::IpAddr;

/// The line of a change that was refused.
pub fn line(operation: &Operation, errno: i32, said: Option<&str>) -> String {
    let (name, number) = match operation {
        Operation::AddService(..) => ("ADD", 1154),
        Operation::EditService(..) => ("EDIT", 1155),
        Operation::RemoveService(..) => ("DEL", 1156),
        Operation::AddDestination(..) => ("ADDDEST", 1159),
        Operation::RemoveDestination(..) => ("DELDEST", 1160),
        Operation::EditDestination(..) => ("EDITDEST", 1161),
    };
    let place = match operation {
        Operation::AddService(key, _) | Operation::EditService(key, _) | Operation::RemoveService(key) => {
            service(key)
        }
        Operation::AddDestination(key, server, _)
        | Operation::EditDestination(key, server, _)
        | Operation::RemoveDestination(key, server) => format!("{} -> {}", service(key), destination(server)),
    };
    let hint = hint(operation, errno, said);
    format!(
        "IPVS cmd IP_VS_SO_SET_{name}({number}) error: {}({errno}) ({place}){hint}",
        text(name, errno)
    )
}

/// The line of a synchronization daemon that could not be started or ended.
pub fn daemon_line(start: bool, errno: i32) -> String {
    let (name, number) = if start {
        ("STARTDAEMON", 1163)
    } else {
        ("STOPDAEMON", 1164)
    };
    format!(
        "IPVS cmd IP_VS_SO_SET_{name}({number}) error: {}({errno})",
        text(name, errno)
    )
}

fn text(command: &str, errno: i32) -> String {
    match (command, errno) {
        ("ADD", libc::EEXIST) => "Service already exists".into(),
        ("ADD" | "EDIT", libc::ENOENT) => "Scheduler or persistence engine not found".into(),
        ("EDIT" | "DEL", libc::ESRCH) => "No such service".into(),
        ("ADDDEST" | "EDITDEST" | "DELDEST", libc::ESRCH) => "Service not defined".into(),
        ("ADDDEST", libc::EEXIST) => "Destination already exists".into(),
        ("EDITDEST" | "DELDEST", libc::ENOENT) => "No such destination".into(),
        ("STARTDAEMON", libc::EEXIST) => "Daemon has already run".into(),
        ("STOPDAEMON", libc::ESRCH) => "No daemon is running".into(),
        (_, libc::EPERM) => "Permission denied (you must be root)".into(),
        (_, errno) => nix::errno::Errno::from_raw(errno).desc().into(),
    }
}

/// What helps, where it is known.
fn hint(operation: &Operation, errno: i32, said: Option<&str>) -> String {
    match (operation, errno) {
        (Operation::AddService(_, settings) | Operation::EditService(_, settings), libc::ENOENT) => {
            let engine = settings
                .engine
                .as_ref()
                .map_or_else(String::new, |engine| format!(" or ip_vs_pe_{engine}"));
            format!(
                " - the kernel needs the module ip_vs_{}{engine}",
                settings.scheduler
            )
        }
        (Operation::AddService(ServiceKey::Address(Protocol::Sctp, ..), _), libc::EPROTONOSUPPORT) => {
            " - the kernel has IPVS without SCTP".into()
        }
        _ => said.map_or_else(String::new, |said| format!(" - {said}")),
    }
}

fn service(key: &ServiceKey) -> String {
    match key {
        ServiceKey::Address(protocol, address, port) => {
            format!(
                "{}:{}:{port}",
                address_text(*address),
                Protocol::name(Some(*protocol))
            )
        }
        ServiceKey::Mark(mark, _) => format!("fwm {mark}"),
    }
}

fn destination(server: &DestinationKey) -> String {
    format!("{}:{}", address_text(server.address), server.port)
}

fn address_text(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}
