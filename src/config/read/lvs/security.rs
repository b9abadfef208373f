//! The scripts of the load balancer: that they are there, and safe.

use super::Context;
use crate::config::read::script::{self, Inspection, Verdict};
use crate::model::Command;
use crate::model::lvs::{CheckerKind, VirtualServer};

/// Looks at every script.
pub(super) fn inspect(context: &mut Context) {
    let mut servers = std::mem::take(&mut context.config.lvs.servers);
    let mut inspection = Inspection::default();
    for command in commands(&mut servers) {
        if inspection.look(command, context) == Verdict::Unusable {
            let program = script::program(command);
            let text = format!("Script {program} is not there, or its user may not run it");
            context.diagnostics.hint(None, text);
        }
    }
    context.config.lvs.servers = servers;
    inspection.finish("check ", context);
}

fn commands(servers: &mut [VirtualServer]) -> impl Iterator<Item = &mut Command> {
    servers.iter_mut().flat_map(|server| {
        let reals = server.real_servers.iter_mut().flat_map(|real| {
            let checks = real
                .checkers
                .iter_mut()
                .filter_map(|checker| match &mut checker.kind {
                    CheckerKind::Misc { command, .. } => Some(command),
                    _ => None,
                });
            checks.chain(&mut real.notify_up).chain(&mut real.notify_down)
        });
        reals.chain(&mut server.quorum_up).chain(&mut server.quorum_down)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{WHOLE, said};
    use super::*;
    use crate::config::{MemoryHost, ReadOptions};

    #[test]
    fn scripts_are_looked_at() {
        let text = format!(
            "virtual_server 10.0.0.3 80 {{\n{WHOLE}quorum_up \"/bin/up a\"\nquorum_up \"/bin/other\"\n\
             real_server 1.1.1.2 80 {{\nMISC_CHECK {{\nmisc_path /bin/nosuch\n}}\n}}\n}}\n"
        );
        let mut host = MemoryHost::default();
        host.script("/bin/up")
            .file("/etc/keepalived/keepalived.conf", &text);
        let reading = crate::config::read(&host, &ReadOptions::default());
        let lines: Vec<_> = reading.log_lines().map(|(_, line)| line).collect();
        assert_eq!(
            lines,
            [
                "(/etc/keepalived/keepalived.conf: Line 8) ([10.0.0.3]:tcp:80) quorum_up script already specified - ignoring /bin/other",
                "SECURITY VIOLATION - check scripts are being executed but script_security not enabled.",
            ]
        );
        let server = &reading.configuration.lvs.servers[0];
        assert_eq!(
            server.quorum_up.as_ref().map(|c| (c.argv.clone(), c.disabled)),
            Some((vec!["/bin/up".into(), "a".into()], false))
        );
        let CheckerKind::Misc { command, .. } = &server.real_servers[1].checkers[0].kind else {
            panic!();
        };
        assert!(command.disabled);
        let text = format!("global_defs {{\nenable_script_security\n}}\n{text}");
        host.file("/etc/keepalived/keepalived.conf", &text);
        let reading = crate::config::read(&host, &ReadOptions::default());
        assert_eq!(
            said(&reading),
            [
                "10 Unable to set default user keepalived_script for script",
                "15 Unable to set default user for misc script '/bin/nosuch' - removing",
            ]
        );
        assert!(
            reading.configuration.lvs.servers[0].real_servers[1]
                .checkers
                .is_empty()
        );
    }
}
