//! A configuration comes into force, at start and at a reload.

use super::super::bfd::Order;
use super::super::guard;
use super::super::port::{Change, Command, Scheduling};
use super::super::{config_save, dumps, reload, snapshot, start};
use super::bfd::scheduling;
use super::settings::{effective, kernel_instances, kernel_settings, nftables_instead};
use super::{Supervisor, Told};
use crate::config::{Class, Reading};
use crate::daemon::virtual_links::virtual_links;
use crate::process::idle;
use crate::report;
use crate::state::kernel::KernelRequest;
use crate::vrrp::plan::{self, Plan};
use sd_notify::NotifyState;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

#[derive(Default)]
pub(super) struct Reload {
    pub(super) in_progress: bool,
    pub(super) queued: bool,
    /// Reloads that were taken.
    number: u32,
}

impl Supervisor<'_> {
    /// Hands a plan to the threads: kernel, sockets, then the groups in one step.
    pub(super) fn apply(&mut self, plan: Plan, first: bool) {
        let config = &self.config;
        let globals = &config.globals;
        if let Some(name) = &globals.process_name {
            crate::process::set_comm(name);
        }
        let (mut settings, name, of_bfd) = scheduling(config);
        settings.realtime = settings.realtime.or(self.realtime);
        if let Some(line) = of_bfd {
            tracing::info!(target: "bfd", "{line}");
        }
        self.port.send(Command::Schedule(Box::new(Scheduling {
            settings,
            max_auto_priority: globals.max_auto_priority,
            name,
            late: u64::try_from(globals.min_auto_priority_delay.as_nanos()).unwrap_or(u64::MAX),
        })));
        let mut kernel = Some(KernelRequest::Configure {
            instances: kernel_instances(&plan.running, config),
            settings: Box::new(kernel_settings(config, self.options, self.realtime)),
            clean: first,
        });
        if first && let Some(request) = kernel.take() {
            // What an earlier run left behind goes before anything starts, and is told before it.
            self.kernel.send(request);
        }
        let tell = self.tell.clone();
        let change = Change {
            kernel,
            detail: self.options.detail > 0,
            hold_until: self.startup_delay.configure(globals),
            tell_states: !first && globals.fifo_write_states_on_reload,
            log_unknown: globals.log_unknown_vrids,
            plan: plan.clone(),
            bfd: Order::Configure(config.bfd.iter().cloned().map(Arc::new).collect()),
            done: Box::new(move || {
                let _ = tell.send(Told::Applied);
            }),
        };
        self.running = plan.running;
        self.source.runs(&self.config, &self.running);
        let guarded = guard::wanted(&self.config, self.options.keep_vips);
        self.guard
            .configure(guarded.then(|| guard::Known::all(&self.running)));
        let port = self.port.clone();
        let then = move || port.send(Command::Apply(Box::new(change)));
        let (sockets, running) = (self.sockets.clone(), self.running.clone());
        let (config, detail) = (self.config.clone(), self.options.detail > 0);
        let dump = self.options.dump_config;
        if let Some(text) = nftables_instead(&self.config) {
            tracing::info!(target: "vrrp", "{text}");
        }
        self.kernel
            .send(KernelRequest::Links(virtual_links(&self.running)));
        // In the kernel thread's turn: at the start it reports all interfaces before it does anything else.
        self.kernel.open_sockets(Vec::new(), move |_| {
            if dump {
                super::super::dumps::tell_configuration(&snapshot::at_start(
                    config.clone(),
                    &sockets.interfaces(),
                ));
            }
            sockets.configure(&running, &config.globals, detail, then)
        });
    }

    pub(super) async fn applied(&mut self) {
        self.quiet_from = Some(Instant::now() + idle::QUIET);
        if self.ready {
            tracing::info!(target: "parent", "Reload complete");
            self.tell_bus_of_reload();
            self.save_state("post");
            self.verdict("done").await;
            let _ = sd_notify::notify(&[NotifyState::Ready]);
        } else {
            self.ready = true;
            tracing::info!(target: "parent", "Startup complete");
            let _ = sd_notify::notify(&[NotifyState::Ready, NotifyState::MainPid(std::process::id())]);
        }
        self.status(None);
        self.next_reload();
    }

    /// What the start or a reload needed goes.
    pub(super) fn settle(&self) {
        // Only at the start, when no takeover can be due yet.
        if self.reload.number == 0 {
            idle::let_go_of_heap();
        }
        idle::let_go_of_text();
    }

    /// `config_save_dir`.
    fn save_state(&self, moment: &str) {
        if let Some(path) = config_save::state(&self.config.globals, self.reload.number, moment) {
            self.dump(move |dumps, snapshot| dumps.state(snapshot, &path), false);
        }
    }

    pub(super) fn ask_reload(&mut self) {
        if self.reload.in_progress || !self.ready {
            tracing::debug!(target: "parent", "Reload already in progress, request queued");
            self.reload.queued = true;
            return;
        }
        self.reload.in_progress = true;
        tracing::info!(target: "parent", "Reloading ...");
        let mut notices = vec![NotifyState::Reloading];
        notices.extend(NotifyState::monotonic_usec_now());
        let _ = sd_notify::notify(&notices);
        let (options, tell) = (self.options.clone(), self.tell.clone());
        let seed = self.config.globals.random_seed;
        let marker = reload::marker(&self.config.globals, self.options.namespace.as_deref());
        let reader = std::thread::Builder::new().name("reload".into()).spawn(move || {
            if let Some(path) = &marker {
                reload::mark(path);
            }
            let reading = Box::new(start::read(&options, seed));
            if let Some(path) = &marker {
                reload::unmark(path);
            }
            let _ = tell.send(Told::Read(reading));
        });
        if let Err(error) = reader {
            tracing::error!(target: "parent", "cannot start a thread to read the configuration: {error}");
            self.reload.in_progress = false;
        }
    }

    /// The file has been read: it is refused and nothing changes, or it is applied.
    pub(super) async fn take(&mut self, reading: Reading) {
        start::tell(self.options, &reading);
        let check = self.config.globals.reload_check_config.is_some()
            || reading.configuration.globals.reload_check_config.is_some();
        if check {
            tracing::debug!(target: "parent", "validate conf before Reload");
        }
        if let Some(reason) = reload::refusal(&self.config, &reading, check) {
            if check {
                let details = reload::save_complaints(&self.config.globals, &reading);
                tracing::info!(target: "parent", "New config failed validation, see {details} for details");
            }
            self.refuse(&reason).await;
            return;
        }
        tracing::info!(target: "vrrp", "Reloading");
        if self.lvs.get().is_some() {
            tracing::info!(target: "checkers", "Reloading");
        }
        self.reload.number += 1;
        config_save::configuration(&reading.configuration.globals, &reading.files, self.reload.number);
        self.save_state("pre");
        let warnings = reading
            .diagnostics
            .iter()
            .filter(|d| d.class != Class::Ok)
            .count();
        self.config = Arc::new(effective(self.options, reading.into_configuration()));
        let plan = plan::plan(&self.running, &self.config);
        let there: BTreeSet<&str> = self.config.instances.iter().map(|i| i.name.as_str()).collect();
        let watchers = &mut self.watchers;
        self.states.retain(|name, _| {
            let stays = there.contains(&**name);
            if !stays {
                watchers.tell(&report::watch::removed(name, SystemTime::now(), &dumps::local));
            }
            stays
        });
        if warnings > 0 {
            self.status(Some(&format!("reloaded, {warnings} complaints (see the log)")));
        }
        self.keep_bfd_pid_file();
        self.reload_time.configure(&self.config.globals);
        self.serve_snmp().await;
        self.serve_metrics();
        self.serve(false).await;
        self.serve_bus();
        self.apply(plan, false);
        self.balance();
    }

    pub(super) async fn refuse(&mut self, reason: &str) {
        tracing::error!(target: "parent", "{reason}");
        tracing::info!(
            target: "parent",
            "Reload refused, nothing has changed: the configuration from before stays"
        );
        self.verdict(&format!("refused: {reason}")).await;
        let _ = sd_notify::notify(&[NotifyState::Ready]);
        self.status(Some(&format!("reload refused: {reason}")));
        self.next_reload();
    }

    pub(super) fn next_reload(&mut self) {
        self.reload.in_progress = false;
        if std::mem::take(&mut self.reload.queued) {
            tracing::debug!(target: "parent", "Processing queued reload");
            self.ask_reload();
        }
    }
}
