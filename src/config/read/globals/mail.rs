//! Mail: the server, the sender, and what is worth a message.

use super::{MOST_SECONDS, on_off, say, word};
use crate::config::diagnostic::Class;
use crate::config::line::Line;
use crate::config::read::field::u32_in;
use crate::config::read::{Context, Flow};
use crate::model::globals::SmtpServer;
use std::time::Duration;

pub(super) fn mail(name: &str, line: &Line, context: &mut Context) -> Option<Flow> {
    match name {
        "notification_email_from" => match word(line) {
            Some(from) => {
                context.config.globals.notification_email_from = Some(from);
                if line.words.len() > 2 {
                    let text = "Extra characters after notification_email_from - ignoring";
                    context.diagnostics.at(Class::General, line.span_of(2), text);
                }
            }
            None => say(line, "notification_email_from missing - ignoring", context),
        },
        "smtp_server" => smtp_server(line, context),
        "smtp_helo_name" => match word(line) {
            Some(helo) => context.config.globals.smtp_helo_name = Some(helo),
            None => say(line, "SMTP HELO name missing - ignoring", context),
        },
        "smtp_connect_timeout" => match u32_in(line, 1, 0, MOST_SECONDS, context) {
            Some(0) => {
                say(
                    line,
                    "smtp_conect_timeout must be greater than 0, setting to 1",
                    context,
                );
                context.config.globals.smtp_connect_timeout = Duration::from_secs(1);
            }
            Some(n) => context.config.globals.smtp_connect_timeout = Duration::from_secs(n.into()),
            None => {
                let value = line.text(1).unwrap_or_default();
                say(
                    line,
                    format!("smtp_connect_timeout '{value}' must be in [0, {MOST_SECONDS}] - ignoring"),
                    context,
                );
            }
        },
        "smtp_alert" | "smtp_alert_vrrp" | "smtp_alert_checker" => {
            let value = line.text(1).unwrap_or_default();
            let message = format!("Invalid value '{value}' for global {name} specified");
            let on = on_off(line, message, context);
            let globals = &mut context.config.globals;
            let field = match name {
                "smtp_alert" => &mut globals.smtp_alert,
                "smtp_alert_vrrp" => &mut globals.smtp_alert_vrrp,
                _ => &mut globals.smtp_alert_checker,
            };
            *field = on.or(*field);
        }
        "no_email_faults" => context.config.globals.no_email_faults = true,
        "no_checker_emails" | "rs_init_notifies" | "checker_log_all_failures" => {
            let message = format!("Invalid value for {name} specified");
            if let Some(on) = on_off(line, message, context) {
                let globals = &mut context.config.globals;
                match name {
                    "no_checker_emails" => globals.no_checker_emails = on,
                    "rs_init_notifies" => globals.rs_init_notifies = on,
                    _ => globals.checker_log_all_failures = on,
                }
            }
        }
        _ => return None,
    }
    Some(Flow::Continue)
}

fn smtp_server(line: &Line, context: &mut Context) {
    let Some(host) = word(line) else {
        say(line, "SMTP server address missing - ignoring", context);
        return;
    };
    let port = match line.text(2) {
        None => Some(25),
        Some(_) => u32_in(line, 2, 1, 65535, context).and_then(|p| u16::try_from(p).ok()),
    };
    let address = host.parse().ok().or_else(|| context.host.resolve(&host));
    match (port, address) {
        (Some(port), Some(address)) => {
            context.config.globals.smtp_server = Some(SmtpServer {
                host,
                address: Some(address),
                port,
            });
        }
        _ => {
            let port = line.text(2).unwrap_or("25");
            context
                .diagnostics
                .at(
                    Class::General,
                    line.span_of(1),
                    format!("Invalid smtp server {host} {port}"),
                )
                .help("the name does not resolve, or the port is none; no mail will be sent");
        }
    }
}
