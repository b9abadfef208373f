//! The scripts that instances and groups name: who runs them, whether they may be run, who uses them.

use crate::config::diagnostic::Class;
use crate::config::read::Context;
use crate::config::read::draft::Draft;
use crate::config::read::script::{self, Inspection, Verdict};
use crate::config::read::vrrp::GroupDraft;
use crate::model::script::NotifyScripts;
use std::collections::BTreeSet;

/// Looks at every command: that it is there, and that it is safe. What may not run is not tracked.
pub(super) fn inspect_scripts(drafts: &mut [Draft], groups: &mut [GroupDraft], context: &mut Context) {
    let mut inspection = Inspection::default();
    let mut scripts = std::mem::take(&mut context.config.scripts);
    for track in &mut scripts {
        let reason = match inspection.look(&mut track.command, context) {
            Verdict::Unusable => "since not found/accessible",
            Verdict::Insecure if track.command.disabled => "due to insecure",
            // keepalived disables those, and says so in a test; we run them.
            Verdict::Linked if context.test => "due to insecure",
            _ => continue,
        };
        let program = script::program(&track.command).to_owned();
        let text = format!("Disabling track script {} {reason}", track.name);
        let help = if track.command.disabled {
            format!("`{program}` is not there, or may not be run by its user or safely")
        } else {
            format!(
                "keepalived does not run `{program}` since a directory of its path is a symbolic link; keepalived-rs does"
            )
        };
        context.diagnostics.general(Class::Warning, text).help(help);
    }
    let disabled: BTreeSet<&str> = scripts
        .iter()
        .filter(|s| s.command.disabled)
        .map(|s| s.name.as_str())
        .collect();
    let names: BTreeSet<String> = drafts.iter().map(|d| d.instance.name.clone()).collect();
    for draft in drafts {
        draft
            .instance
            .track_scripts
            .retain(|t| !disabled.contains(t.name.as_str()));
        notify_scripts(&mut draft.instance.notify, &mut inspection, context);
    }
    for draft in groups {
        draft
            .group
            .track_scripts
            .retain(|t| !disabled.contains(t.name.as_str()));
        // A group without members goes, and its scripts with it.
        if draft.group.members.iter().any(|m| names.contains(m)) {
            notify_scripts(&mut draft.group.notify, &mut inspection, context);
        }
    }
    context.config.scripts = scripts;
    inspection.finish("", context);
}

pub(super) fn notify_scripts(
    scripts: &mut NotifyScripts,
    inspection: &mut Inspection,
    context: &mut Context,
) {
    let all = [
        &mut scripts.backup,
        &mut scripts.master,
        &mut scripts.fault,
        &mut scripts.stop,
        &mut scripts.deleted,
        &mut scripts.generic,
        &mut scripts.master_rx_lower_priority,
    ];
    for command in all.into_iter().flatten() {
        inspection.look(command, context);
    }
}

/// Scripts that nothing tracks are not run.
pub(super) fn unused_scripts(drafts: &[Draft], groups: &[GroupDraft], context: &mut Context) {
    let config = &mut context.config;
    let instances = drafts.iter().flat_map(|d| &d.instance.track_scripts);
    let groups = groups.iter().flat_map(|g| &g.group.track_scripts);
    let used: BTreeSet<String> = instances.chain(groups).map(|t| t.name.clone()).collect();
    let mut names = BTreeSet::new();
    let diagnostics = &mut context.diagnostics;
    config.scripts.retain(|s| {
        let keep = used.contains(&s.name);
        if !keep {
            let hint = diagnostics.hint(None, format!("Warning - script {} is not used", s.name));
            hint.help("nothing tracks it: it is not run");
        }
        keep && names.insert(s.name.clone())
    });
}
