//! Stop, in order.

use super::super::dumps;
use super::super::lvs;
use super::super::port::Command;
use super::{Supervisor, Told};
use crate::report;
use crate::state::kernel::KernelRequest;
use sd_notify::NotifyState;
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

impl Supervisor<'_> {
    /// All priority-0 adverts, then the addresses, then the rest.
    pub(super) async fn stop(mut self, status: i32) -> i32 {
        tracing::info!(target: "parent", "Stopping");
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
        self.watchers
            .tell(&report::watch::stopping(SystemTime::now(), &dumps::local));
        let keep = self.options.keep_vips;
        let (done, finished) = mpsc::channel();
        self.port.send(Command::Stop { keep, done });
        let _ = finished.recv_timeout(Duration::from_secs(2));
        self.kernel.send(KernelRequest::Stop { keep });
        let balancer = self.lvs.get().map(lvs::Handle::stop);
        let limit = self.config.globals.child_wait_time;
        let kernel_stopped = async {
            while let Some(told) = self.told.recv().await {
                if matches!(told, Told::KernelStopped) {
                    break;
                }
            }
        };
        if tokio::time::timeout(limit, kernel_stopped).await.is_err() {
            // Without a goodbye: the guard removes what this process leaves.
            tracing::warn!(target: "parent", "vrrp process failed to die - forcing termination");
        } else {
            self.guard.goodbye().await;
        }
        if let Some(stopped) = balancer
            && tokio::time::timeout(limit, stopped).await.is_err()
        {
            tracing::warn!(target: "parent", "checker process failed to die - forcing termination");
        }
        if let Some(snmp) = self.snmp.get() {
            snmp.stop().await;
        }
        if let Some(metrics) = &self.metrics {
            metrics.stop();
        }
        if let Some(services) = self.services.get() {
            services.stop().await;
        }
        let globals = &self.config.globals;
        self.run_script(
            "shutdown",
            globals.shutdown_script.as_ref(),
            globals.shutdown_script_timeout,
        )
        .await;
        self.stop_bus().await;
        self.port.send(Command::End);
        self.say_usage();
        drop(std::mem::take(&mut self.pid_files));
        self.control = None;
        self.log.flush(Duration::from_millis(200));
        status
    }

    pub(super) fn say_usage(&self) {
        use nix::sys::resource::{UsageWho, getrusage};
        let times = |who| {
            getrusage(who).map_or((0.0, 0.0), |u| {
                let seconds = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 + t.tv_usec() as f64 * 1e-6;
                (seconds(u.user_time()), seconds(u.system_time()))
            })
        };
        let (own, children) = (times(UsageWho::RUSAGE_SELF), times(UsageWho::RUSAGE_CHILDREN));
        if self.log.detail() == 0 {
            tracing::info!(target: "vrrp", "Stopped");
            return;
        }
        tracing::debug!(
            target: "vrrp",
            "Stopped - used (self/children) {:.6}/{:.6} user time, {:.6}/{:.6} system time",
            own.0, children.0, own.1, children.1
        );
        tracing::debug!(
            target: "parent",
            "CPU usage (self/children) user: {:.6}/{:.6} system: {:.6}/{:.6}",
            own.0, children.0, own.1, children.1
        );
    }
}
