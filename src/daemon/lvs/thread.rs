//! What the thread does.

mod opening;

use super::feeds::Feeds;
use super::record::{Ours, Record};
use super::{Change, Order, counters, sync};
use crate::checkers::http::tls::Tls;
use crate::checkers::{self, Job, Means};
use crate::daemon::port::Scheduler;
use crate::daemon::services::Services;
use crate::lvs::{self, Lvs, LvsSettings, LvsStop};
use crate::model::Configuration;
use crate::model::globals::{LvsFlushOnStop, LvsTimeouts};
use crate::net::firewall::marks::Marks;
use crate::net::ipvs::keeper::Keeper;
use crate::process;
use crate::report::lvs_lines;
use crate::serve::snmp::Snmp;
use crate::state::check::{CheckReport, CheckerId, Standing};
use crate::state::lvs::{CheckerStart, LvsEffect, LvsSnapshot, Operation};
use crate::state::track::{TrackSource, Verdict};
use crate::state::{InstanceId, Interface, VrrpState};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

/// The kernel's table is read back this often.
const ROUND: Duration = Duration::from_secs(5);
/// Without IPVS it is looked for this often.
const LOOK: Duration = Duration::from_secs(30);
/// A round may take this part of the time: a large table is read less often.
const SHARE: u32 = 100;
/// Verdicts that are taken in one turn.
const TURN: usize = 256;

pub(super) struct Thread {
    lvs: Lvs,
    keeper: Keeper,
    marks: Marks,
    config: Arc<Configuration>,
    services: Option<Services>,
    snmp: Option<Snmp>,
    means: Arc<Means>,
    keep: bool,
    started: bool,
    running: BTreeMap<CheckerId, Running>,
    reports: UnboundedSender<CheckReport>,
    heard: Option<UnboundedReceiver<CheckReport>>,
    interfaces: BTreeMap<u32, Vec<IpAddr>>,
    /// Our own addresses are not among those of the interfaces.
    vips: BTreeMap<InstanceId, Vec<IpAddr>>,
    claimed: BTreeMap<InstanceId, Vec<bool>>,
    states: BTreeMap<Arc<str>, VrrpState>,
    /// The kernel's timeouts before ours.
    timeouts: Option<LvsTimeouts>,
    /// Told that there is no IPVS.
    without: bool,
    feeds: Feeds,
    scheduler: Scheduler,
    record: Record,
    /// What a predecessor that was killed has left.
    left: Ours,
}

struct Running {
    /// `None`: suspended.
    task: Option<AbortHandle>,
    standing: Arc<Mutex<Standing>>,
}

impl Thread {
    pub fn new(record: PathBuf) -> Thread {
        let (reports, heard) = unbounded_channel();
        Thread {
            lvs: Lvs::default(),
            keeper: Keeper::default(),
            marks: Marks::default(),
            config: Arc::default(),
            services: None,
            snmp: None,
            means: Arc::default(),
            keep: false,
            started: false,
            running: BTreeMap::new(),
            reports,
            heard: Some(heard),
            interfaces: BTreeMap::new(),
            vips: BTreeMap::new(),
            claimed: BTreeMap::new(),
            states: BTreeMap::new(),
            timeouts: None,
            without: false,
            feeds: Feeds::default(),
            scheduler: Scheduler::of_checkers(),
            record: Record::new(record),
            left: Ours::default(),
        }
    }

    pub async fn run(mut self, mut orders: UnboundedReceiver<Order>) {
        let Some(mut heard) = self.heard.take() else {
            return;
        };
        let mut look = Instant::now() + ROUND;
        let mut spent = Duration::ZERO;
        let mut verdicts = Vec::new();
        loop {
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    None => return,
                    Some(Order::Stop(done)) => {
                        self.stop();
                        let _ = done.send(());
                        return;
                    }
                    Some(order) => {
                        let configured = matches!(order, Order::Configure(_));
                        self.order(order).await;
                        if configured && self.keeper.ipvs().is_some() {
                            // What a predecessor left is looked for at once.
                            look = Instant::now();
                        }
                    }
                },
                _ = heard.recv_many(&mut verdicts, TURN) => {
                    let mut effects = Vec::new();
                    self.lvs.at(SystemTime::now());
                    for report in verdicts.drain(..) {
                        self.lvs.report(&report, &mut effects);
                    }
                    self.perform(effects);
                }
                () = sleep_until(look) => {
                    if self.keeper.ipvs().is_none() {
                        self.open().await;
                        look = Instant::now() + if self.keeper.ipvs().is_some() { Duration::ZERO } else { LOOK };
                        continue;
                    }
                    let begun = std::time::Instant::now();
                    let done = self.keeper.check();
                    spent += begun.elapsed();
                    look = Instant::now();
                    if done {
                        self.marks.check();
                        look += ROUND.max(std::mem::take(&mut spent) * SHARE);
                    }
                }
            }
        }
    }

    async fn order(&mut self, order: Order) {
        match order {
            Order::Configure(change) => self.configure(*change).await,
            Order::Interface(interface) => self.interface(&interface),
            Order::InterfaceGone(index) => {
                self.interfaces.remove(&index);
                self.addresses();
            }
            Order::Claimed(instance, set) => {
                self.claimed.insert(instance, set);
                self.addresses();
            }
            Order::Instance(name, state) => {
                self.states.insert(name, state);
                self.sync_daemons();
            }
            Order::Snapshot(reply) => {
                let _ = reply.send(self.snapshot());
            }
            Order::Follow(source, verdict) => self.feeds.tell(source, verdict),
            Order::Stop(_) => {}
        }
    }

    async fn configure(&mut self, change: Change) {
        let before = std::mem::replace(&mut self.config, change.config);
        self.services = change.services;
        self.snmp = change.snmp;
        self.means = Arc::new(Means {
            spawner: self.services.as_ref().map(Services::spawner),
            groups: change.groups,
            tls: Tls::ready(self.config.lvs.ssl.as_ref()),
        });
        self.keep = change.keep;
        self.vips = change.vips;
        self.claimed
            .retain(|instance, _| self.vips.contains_key(instance));
        for file in self.services.iter().flat_map(Services::files) {
            let name = file.config.name.as_str().into();
            self.feeds
                .tell(TrackSource::File(name), Verdict::Value(file.value));
        }
        self.schedule(&before);
        let again = self.started;
        info!(target: "checkers", "{} ipvs", if again { "Reinitializing" } else { "Initializing" });
        if self.keeper.ipvs().is_none() {
            self.open().await;
        }
        if !again
            && self.config.globals.lvs_flush
            && let Some(ipvs) = self.keeper.ipvs()
            && let Err(problem) = ipvs.flush()
        {
            error!(target: "checkers", "lvs_flush: the table of IPVS cannot be emptied: {problem}");
        }
        if !again || before.globals.lvs_timeouts != self.config.globals.lvs_timeouts {
            self.set_timeouts();
        }
        self.started = true;
        self.sync_daemons();
        self.addresses();
        let mut effects = Vec::new();
        let settings = LvsSettings {
            init_notifies: self.config.globals.rs_init_notifies,
        };
        self.lvs.at(SystemTime::now());
        let globals = &self.config.globals;
        let from = globals
            .nftables_ipvs
            .as_ref()
            .map(|_| globals.nftables_ipvs_start_fwmark);
        self.lvs.map_groups(from);
        self.lvs.configure(&self.config.lvs, settings, &mut effects);
        self.perform(effects);
        self.mark_groups();
        self.sweep();
        info!(target: "checkers", "Activating BFD healthchecker");
    }

    /// `checker_priority` and the like, `checker_process_name`.
    fn schedule(&mut self, before: &Configuration) {
        let config = self.config.clone();
        let (globals, before) = (&config.globals, &before.globals);
        if globals.checker_process != before.checker_process {
            self.scheduler.apply(&globals.checker_process);
        }
        let default = globals.process_names.then_some("keepalived_lvs");
        if let Some(name) = globals.checker_process_name.as_deref().or(default) {
            process::set_comm(name);
        }
    }

    fn open_marks(&mut self) -> io::Result<()> {
        counters::within_namespace(&self.config, || self.marks.open())
    }

    /// `nftables_ipvs`. After the services, so that nothing is marked that nobody takes.
    fn mark_groups(&mut self) {
        let config = self.config.clone();
        let globals = &config.globals;
        let Some(table) = &globals.nftables_ipvs else {
            self.marks.remove();
            return;
        };
        let wanted = self.lvs.marked(&config.lvs);
        if let Err(problem) = self.open_marks() {
            error!(target: "checkers", "nftables_ipvs: {problem}");
            return;
        }
        // Written down before it is there.
        self.left.table.get_or_insert_with(|| table.clone());
        self.remember(&[]);
        self.marks.set(
            table,
            globals.nftables_ipvs_priority,
            globals.nftables_counters,
            wanted,
        );
    }

    fn interface(&mut self, interface: &Interface) {
        let addresses: Vec<IpAddr> = interface.addresses.iter().map(|a| a.address).collect();
        if self.interfaces.get(&interface.index) != Some(&addresses) {
            self.interfaces.insert(interface.index, addresses);
            self.addresses();
        }
    }

    fn addresses(&mut self) {
        let mut local: BTreeSet<IpAddr> = self.interfaces.values().flatten().copied().collect();
        // What an interface is reported with may hold an address of ours that has been released since.
        for vip in self.vips.values().flatten() {
            local.remove(vip);
        }
        for (instance, set) in &self.claimed {
            let vips = self.vips.get(instance).into_iter().flatten();
            local.extend(vips.zip(set).filter(|(_, set)| **set).map(|(vip, _)| *vip));
        }
        let mut effects = Vec::new();
        self.lvs.addresses(local, &mut effects);
        self.perform(effects);
    }

    fn perform(&mut self, effects: Vec<LvsEffect>) {
        let services = lvs::operations(&effects)
            .any(|operation| matches!(operation, Operation::AddService(..) | Operation::RemoveService(_)));
        if services {
            self.remember(&effects);
        }
        let mut operations: Vec<Operation> = Vec::new();
        for effect in effects {
            match effect {
                LvsEffect::Kernel(operation) => operations.push(operation),
                LvsEffect::Notice(notice) => lvs_lines::log(&notice),
                LvsEffect::Notify(notification) => {
                    // The table is as the script is told.
                    self.keeper.apply(std::mem::take(&mut operations));
                    if let Some(snmp) = &self.snmp {
                        snmp.lvs(&notification);
                    }
                    if let Some(services) = &self.services {
                        services.notify_lvs(notification);
                    }
                }
                LvsEffect::Mail(mail) => {
                    if let Some(services) = &self.services {
                        services.mail_lvs(mail);
                    }
                }
                LvsEffect::Start(start) => self.start(start),
                LvsEffect::Stop(id) => self.end(id),
            }
        }
        self.keeper.apply(operations);
        self.forget();
        if services {
            self.remember(&[]);
        }
    }

    /// Writes down what is ours, with what these effects add.
    fn remember(&mut self, effects: &[LvsEffect]) {
        let mut ours = Ours {
            services: self.keeper.services().copied().collect(),
            timeouts: self.timeouts,
            daemons: self.config.globals.lvs_sync_daemon.is_some(),
            table: self
                .left
                .table
                .clone()
                .or_else(|| self.marks.table().map(str::to_owned)),
        };
        ours.services.extend(&self.left.services);
        for operation in lvs::operations(effects) {
            if let Operation::AddService(key, _) = operation {
                ours.services.insert(*key);
            }
        }
        self.record.keep(&ours);
    }

    /// Takes out what a predecessor has left and the configuration does not name.
    fn sweep(&mut self) {
        if self.keeper.ipvs().is_some() {
            self.keeper.remove_left(std::mem::take(&mut self.left.services));
            if let Some(table) = self.left.table.take()
                && self.marks.table() != Some(&table)
                && self.open_marks().is_ok()
            {
                self.marks.remove_left(&table);
            }
            self.remember(&[]);
        }
    }

    fn start(&mut self, start: CheckerStart) {
        let standing = match self.running.get(&start.id) {
            Some(suspended) => suspended.standing.clone(),
            None => Arc::new(Mutex::new(Standing::new(start.up))),
        };
        let feed = self.feeds.of(&start.checker.kind);
        let job = Job {
            id: start.id,
            log_all_failures: self.config.globals.checker_log_all_failures || start.checker.log_all_failures,
            checker: start.checker,
            virtual_server: start.virtual_server,
            real_server: start.real_server,
            weight: start.weight,
            standing: standing.clone(),
            means: self.means.clone(),
            feed,
        };
        let task = checkers::start(job, self.reports.clone());
        self.running.insert(
            start.id,
            Running {
                task: Some(task),
                standing,
            },
        );
    }

    fn end(&mut self, id: CheckerId) {
        if let Some(running) = self.running.get_mut(&id)
            && let Some(task) = running.task.take()
        {
            task.abort();
        }
    }

    /// Checkers that ended for good; those that are suspended keep where they stand.
    fn forget(&mut self) {
        let lvs = &self.lvs;
        self.running
            .retain(|id, running| running.task.is_some() || lvs.has_checker(*id));
    }

    fn snapshot(&self) -> LvsSnapshot {
        let standing = |running: &Running| {
            running
                .standing
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
        };
        LvsSnapshot {
            standings: self.running.iter().map(|(id, r)| (*id, standing(r))).collect(),
            ..self.lvs.snapshot()
        }
    }

    fn stop(&mut self) {
        let flush = self.config.globals.lvs_flush_on_stop;
        let how = match flush {
            _ if self.keep => LvsStop::Leave,
            LvsFlushOnStop::All => LvsStop::Leave,
            LvsFlushOnStop::VirtualServers => LvsStop::RemoveQuietly,
            LvsFlushOnStop::No => LvsStop::Remove,
        };
        if !self.keep {
            self.marks.remove();
        }
        let mut effects = Vec::new();
        self.lvs.stop(how, &mut effects);
        self.perform(effects);
        let timeouts = self.timeouts.take();
        let daemons = self.config.globals.lvs_sync_daemon.is_some();
        let Some(ipvs) = self.keeper.ipvs() else {
            return;
        };
        if flush == LvsFlushOnStop::All
            && !self.keep
            && let Err(problem) = ipvs.flush()
        {
            error!(target: "checkers", "lvs_flush_on_stop: the table of IPVS cannot be emptied: {problem}");
        }
        if let Some(timeouts) = timeouts
            && let Err(problem) = ipvs.set_timeouts(&timeouts)
        {
            warn!(target: "checkers", "the timeouts of IPVS cannot be put back: {problem}");
        }
        if daemons && let Err(problem) = sync::apply(ipvs, &[]) {
            warn!(target: "checkers", "lvs_sync_daemon: {problem}");
        }
        // What is kept stays written down: the next daemon takes out what its file does not name.
        if !self.keep {
            self.record.keep(&Ours::default());
        }
    }
}
