//! Start: the threads, wired together.

use super::super::control::Control;
use super::super::dumps::Dumps;
use super::super::guard::{self, Guard, Packets, Page};
use super::super::kernel::{self, KernelHandle};
use super::super::late::Pressure;
use super::super::lvs;
use super::super::port::{self, Command, Outputs};
use super::super::reload;
use super::super::reload_time::ReloadTime;
use super::super::services::Services;
use super::super::sockets::Sockets;
use super::settings::{effective, kernel_settings};
use super::taker::Source;
use super::watchers::Watchers;
use super::{Reload, Running, Supervisor, Told, bus};
use crate::net::local_igmp::LocalIgmp;
use crate::report::lines;
use crate::serve::snmp::Snmp;
use crate::state::InstanceId;
use crate::state::kernel::KernelReport;
use crate::state::notice::{Notice, What};
use crate::vrrp::Event;
use crate::vrrp::plan::{self};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, OnceLock};
use tokio::sync::mpsc::{Sender, UnboundedSender, unbounded_channel};

impl<'a> Supervisor<'a> {
    pub(super) async fn start(running: Running<'a>) -> io::Result<Supervisor<'a>> {
        let Running {
            options,
            log,
            configuration,
            pid_files,
            pid_path,
            bfd_pid_path,
            checkers_pid_path,
            realtime,
        } = running;
        let config = Arc::new(effective(options, configuration));
        let nothing = config.instances.is_empty() && config.bfd.is_empty() && !lvs::is_needed(&config);
        let local_igmp = match config.globals.disable_local_igmp && !nothing {
            true => LocalIgmp::disable(),
            false => None,
        };
        let (tell, told) = unbounded_channel();
        let kernel_cell: Arc<OnceLock<KernelHandle>> = Arc::default();
        let lvs: Arc<OnceLock<lvs::Handle>> = Arc::default();
        let services: Arc<OnceLock<Services>> = Arc::default();
        let (page, shared) = Page::create()?;
        let (guard, packets) = Guard::new(
            &pid_path,
            shared,
            guard::Settings {
                stderr: options.foreground && options.log_console,
                facility: (!options.no_syslog).then(|| u32::from(options.facility) << 3),
            },
        );
        let bus = bus::Bus::default();
        let snmp: Arc<OnceLock<Snmp>> = Arc::default();
        let outputs = outputs(&kernel_cell, &services, &lvs, &bus, &snmp, &tell, packets);
        let port = port::start(outputs, page)?;
        let sockets = Sockets::new(port.clone());
        let (kernel, kernel_thread) = {
            let (sockets, port, tell) = (sockets.clone(), port.clone(), tell.clone());
            let lvs = lvs.clone();
            let settings = kernel_settings(&config, options, realtime);
            kernel::spawn(settings, move |report| match report {
                KernelReport::Interface(interface) => {
                    if let Some(lvs) = lvs.get() {
                        lvs.interface(interface.clone());
                    }
                    sockets.interface(interface);
                }
                KernelReport::InterfaceGone { index, name } => {
                    if let Some(lvs) = lvs.get() {
                        lvs.interface_gone(index);
                    }
                    sockets.interface_gone(index, name);
                }
                KernelReport::Applied {
                    instance: InstanceId::STATIC,
                    set,
                    ..
                } => {
                    let _ = tell.send(Told::StaticSet(set));
                }
                KernelReport::Removed { instance } => {
                    port.send(Command::Event(Event::Removed { instance }));
                }
                KernelReport::Applied { instance, epoch, set } => {
                    if let Some(lvs) = lvs.get() {
                        lvs.claimed(instance, set.clone());
                    }
                    port.send(Command::Event(Event::Applied { instance, epoch, set }));
                }
                KernelReport::VirtualLink {
                    name,
                    instance,
                    ipvlan,
                    made,
                } => sockets.virtual_link(name, &instance, ipvlan, made),
                // The kernel thread has said so and put it back.
                KernelReport::AddressRestored { .. } | KernelReport::Configured => {}
                KernelReport::Stopped => {
                    let _ = tell.send(Told::KernelStopped);
                }
            })?
        };
        let _ = kernel_cell.set(kernel.clone());
        sockets.set_kernel(kernel.clone());
        let control = match Control::open(&pid_path) {
            Ok(control) => Some(control),
            Err(error) => {
                tracing::warn!(
                    target: "parent",
                    "`keepalived-rs reload` cannot wait for a verdict, nor `keepalived-rs status` ask: {}: {error}",
                    super::super::control::path(&pid_path).display()
                );
                None
            }
        };
        let source = Source::new(&port, &sockets, &lvs, &services, &config);
        let mut supervisor = Supervisor {
            options,
            log,
            realtime,
            config,
            running: plan::Running::default(),
            port,
            kernel,
            kernel_thread,
            sockets,
            told,
            tell,
            services,
            lvs,
            bus,
            snmp,
            metrics: None,
            control,
            answering: Arc::new(()),
            guard,
            dumps: Dumps::new(),
            source,
            pid_files,
            bfd_pid_path,
            checkers_pid_path,
            states: BTreeMap::new(),
            watchers: Watchers::default(),
            pressure: [Pressure::read(); 2],
            reload: Reload::default(),
            reload_time: ReloadTime::default(),
            startup_delay: Default::default(),
            ready: false,
            quiet_from: None,
            _local_igmp: local_igmp,
        };
        if let Some(path) = reload::marker(&supervisor.config.globals, options.namespace.as_deref()) {
            // From a daemon that was killed while it read.
            reload::unmark(&path);
        }
        let globals = &supervisor.config.globals;
        supervisor
            .run_script(
                "startup",
                globals.startup_script.as_ref(),
                globals.startup_script_timeout,
            )
            .await;
        supervisor.reload_time.configure(&supervisor.config.globals);
        if nothing && !options.all {
            tracing::info!(target: "parent", "Warning - keepalived has no configuration to run");
        } else {
            tracing::info!(target: "parent", "Starting VRRP thread, pid={}", std::process::id());
        }
        if !supervisor.config.bfd.is_empty() {
            tracing::info!(target: "parent", "Starting BFD on the VRRP thread, pid={}", std::process::id());
        }
        supervisor.serve_snmp().await;
        supervisor.serve_metrics();
        supervisor.serve(true).await;
        supervisor.serve_bus();
        let first = plan::plan(&supervisor.running, &supervisor.config);
        supervisor.apply(first, true);
        supervisor.balance();
        Ok(supervisor)
    }
}

pub(super) fn outputs(
    kernel: &Arc<OnceLock<KernelHandle>>,
    services: &Arc<OnceLock<Services>>,
    lvs: &Arc<OnceLock<lvs::Handle>>,
    bus: &bus::Bus,
    snmp: &Arc<OnceLock<Snmp>>,
    tell: &UnboundedSender<Told>,
    guard: Sender<Packets>,
) -> Outputs {
    let notifier = services.clone();
    let listeners = bus.clone();
    let lvs = lvs.clone();
    let (traps, notices) = (snmp.clone(), snmp.clone());
    let [orders, awake, here, claiming, sent, written, expecting, closing] =
        std::array::from_fn(|_| kernel.clone());
    let (states, late, ended) = (tell.clone(), tell.clone(), tell.clone());
    Outputs {
        kernel: Box::new(move |request| {
            if let Some(kernel) = orders.get() {
                kernel.send(request);
            }
        }),
        awake: Box::new(move || awake.get().is_some_and(KernelHandle::is_awake)),
        here: Box::new(move || {
            if let Some(kernel) = here.get() {
                kernel.await_here();
            }
        }),
        claim: Box::new(move |request| {
            if let Some(kernel) = claiming.get() {
                kernel.send_ahead(request);
            }
        }),
        sent: Box::new(move || {
            if let Some(kernel) = sent.get() {
                kernel.adverts_sent();
            }
        }),
        written: Box::new(move || {
            if let Some(kernel) = written.get() {
                kernel.lines_written();
            }
        }),
        expect: Box::new(move |at| {
            if let Some(kernel) = expecting.get() {
                kernel.expect(at);
            }
        }),
        close: Box::new(move |sockets| {
            if let Some(kernel) = closing.get() {
                kernel.close_sockets(vec![sockets]);
            }
        }),
        notify: Box::new(move |notification| {
            bus::notify(&listeners, &notification);
            if let Some(snmp) = traps.get() {
                snmp.notification(&notification);
            }
            if let Some(services) = notifier.get() {
                services.notify(notification);
            }
        }),
        guard: Box::new(move |packets| guard.try_send(packets).is_ok()),
        report: Box::new(move |notice: &Notice| {
            if matches!(notice.what, What::Conflict(_) | What::Unheard(_)) {
                let _ = states.send(Told::Company(notice.clone()));
                return;
            }
            lines::log(notice);
            if let Some(snmp) = notices.get() {
                snmp.notice(notice);
            }
            if let (What::Entering { .. }, Some(instance)) = (&notice.what, &notice.instance) {
                let _ = states.send(Told::State(instance.clone(), notice.clone()));
            }
        }),
        bfd: Box::new(move |source, verdict| {
            if let Some(lvs) = lvs.get() {
                lvs.follow(source, verdict);
            }
        }),
        late: Box::new(move |lateness| {
            let _ = late.send(Told::Late(lateness));
        }),
        ended: Box::new(move || {
            let _ = ended.send(Told::PortEnded);
        }),
    }
}
