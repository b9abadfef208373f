//! `lvs_method` and its like.

use super::{Class, Context, Line};
use crate::config::read::value::{Strictness, unsigned};
use crate::model::lvs::{Method, Tunnel, TunnelChecksum, TunnelKind};

/// Reads the method of `owner` (`virtual server`, `real server`, `sorry server`). `None`: it was reported.
pub(super) fn method(line: &Line, owner: &str, context: &mut Context) -> Option<Method> {
    let name = line.text(1)?;
    let complain = |context: &mut Context, index, text: String| {
        context.diagnostics.at(Class::General, line.span_of(index), text);
    };
    let mut tunnel = Tunnel::default();
    let mut index = 2;
    let is_tunnel = match name {
        "NAT" | "DR" => false,
        "TUN" => true,
        other => {
            complain(
                context,
                1,
                format!("PARSER : unknown [{other}] routing method for {owner}."),
            );
            return None;
        }
    };
    while let Some(option) = line.text(index) {
        match option {
            "type" if is_tunnel => {
                index += 1;
                tunnel.kind = match line.text(index) {
                    Some("ipip") => TunnelKind::Ipip,
                    Some("gue") => TunnelKind::Gue,
                    Some("gre") => TunnelKind::Gre,
                    other => {
                        let text = format!("Unknown tunnel type {} for {owner}.", other.unwrap_or("(none)"));
                        complain(context, index, text);
                        return None;
                    }
                };
            }
            "port" if is_tunnel => {
                index += 1;
                let port = line
                    .words
                    .get(index)
                    .and_then(|word| unsigned(word, 1, 65535, Strictness::Lenient, context));
                let Some(port) = port.and_then(|p| u16::try_from(p).ok()) else {
                    let text = format!(
                        "Invalid gue tunnel port {} for {owner}.",
                        line.text(index).unwrap_or("(none)")
                    );
                    complain(context, index, text);
                    return None;
                };
                tunnel.port = port;
            }
            "nocsum" if is_tunnel => tunnel.checksum = TunnelChecksum::None,
            "csum" if is_tunnel => tunnel.checksum = TunnelChecksum::Checksum,
            "remcsum" if is_tunnel => tunnel.checksum = TunnelChecksum::Remote,
            other => {
                complain(
                    context,
                    index,
                    format!("Invalid tunnel option {other} for {owner}."),
                );
                return None;
            }
        }
        index += 1;
    }
    let wrong = if (tunnel.kind == TunnelKind::Gue) != (tunnel.port != 0) {
        Some("gue tunnels require port, otherwise cannot have port.")
    } else if tunnel.kind == TunnelKind::Ipip && tunnel.checksum != TunnelChecksum::None {
        Some("ipip tunnels do not support checksum option.")
    } else if tunnel.kind == TunnelKind::Gre && tunnel.checksum == TunnelChecksum::Remote {
        Some("gre tunnels do not support remote checksum option.")
    } else {
        None
    };
    if let Some(text) = wrong {
        complain(context, 1, text.to_owned());
        return None;
    }
    Some(match name {
        "TUN" => Method::Tun(tunnel),
        "DR" => Method::Dr,
        _ => Method::Nat,
    })
}
