//! The load balancer's thread, seen from the main thread.

use super::super::lvs;
use super::super::services::script_groups;
use super::Supervisor;
use crate::model::Instance;
use crate::process::pidfile;
use crate::state::VrrpState;
use std::net::IpAddr;
use std::sync::Arc;

impl Supervisor<'_> {
    /// Gives the configuration to the load balancer, which is started when there is something for it.
    pub(super) fn balance(&self) {
        let record = lvs::record(&self.checkers_pid_path);
        // A daemon that was killed had virtual servers and the file has none any more: they are to go.
        let left = || {
            self.options.checkers && lvs::has_left(&record) && !pidfile::is_running(&self.checkers_pid_path)
        };
        if self.lvs.get().is_none() && (lvs::is_needed(&self.config) || left()) {
            match lvs::Handle::start(record) {
                Ok(handle) => {
                    tracing::info!(target: "parent", "Starting Healthcheck thread, pid={}", std::process::id());
                    // First, so that no report of an interface is lost meanwhile.
                    drop(self.lvs.set(handle.clone()));
                    for seen in self.sockets.interfaces() {
                        handle.interface(seen.interface);
                    }
                    for (instance, state) in &self.states {
                        handle.instance(instance.clone(), *state);
                    }
                }
                Err(error) => {
                    tracing::error!(target: "parent", "no virtual server works: cannot start their thread: {error}");
                }
            }
        }
        if let Some(lvs) = self.lvs.get() {
            lvs.configure(lvs::Change {
                config: self.config.clone(),
                services: self.services().cloned(),
                snmp: self.snmp.get().cloned(),
                groups: script_groups(&self.config),
                vips: self
                    .running
                    .members()
                    .map(|(_, member)| (member.id, addresses(&member.config)))
                    .collect(),
                keep: self.options.keep_ipvs,
            });
        }
    }

    pub(super) fn tell_lvs(&self, instance: &Arc<str>, state: VrrpState) {
        if let Some(lvs) = self.lvs.get() {
            lvs.instance(instance.clone(), state);
        }
    }
}

/// In the order in which the kernel thread says which of them are set.
fn addresses(instance: &Instance) -> Vec<IpAddr> {
    let all = instance.vips.iter().chain(&instance.excluded_vips);
    all.map(|vip| vip.network.address).collect()
}
