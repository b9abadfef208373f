//! What is to be on the bus, and what is to be said there. Shared by the one who takes orders and the one who
//! talks to the bus, both on the same thread.

use crate::state::VrrpState;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, oneshot};
use tracing::warn;

/// Signals that wait for the bus at most.
const QUEUE: usize = 4096;

/// What a configuration puts on the bus.
#[derive(Debug, Clone)]
pub struct Objects {
    /// Name on the bus.
    pub service: String,
    /// Path of the object for the program.
    pub vrrp: String,
    /// Path, name and state of each instance.
    pub instances: Vec<(String, Arc<str>, VrrpState)>,
}

/// An instance on the bus.
#[derive(Debug)]
pub struct Known {
    /// Its name.
    pub name: Arc<str>,
    state: Mutex<VrrpState>,
}

impl Known {
    fn new(name: Arc<str>, state: VrrpState) -> Arc<Known> {
        Arc::new(Known {
            name,
            state: Mutex::new(state),
        })
    }

    /// Its state.
    pub fn state(&self) -> VrrpState {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: VrrpState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// Something to be said.
#[derive(Debug)]
pub enum Say {
    /// An instance has a new state.
    State(String, VrrpState),
    /// Objects come and go.
    Objects,
    /// A reload is done.
    Reloaded,
    /// The end.
    Stopped(oneshot::Sender<()>),
}

/// See the module.
#[derive(Default)]
pub struct Table {
    names: RefCell<Option<(String, String)>>,
    instances: RefCell<BTreeMap<String, Arc<Known>>>,
    leaving: RefCell<BTreeSet<String>>,
    queue: RefCell<VecDeque<Say>>,
    connected: Cell<bool>,
    news: Notify,
}

impl Table {
    /// What comes into force.
    pub fn configure(&self, objects: Option<Objects>) {
        let instances = objects.as_ref().map_or(&[][..], |o| &o.instances);
        {
            let mut known = self.instances.borrow_mut();
            let mut leaving = self.leaving.borrow_mut();
            *leaving = known.keys().cloned().collect();
            let mut taken = BTreeSet::new();
            for (path, name, state) in instances {
                if !taken.insert(path) {
                    warn!(target: "vrrp", "({name}) no D-Bus object: {path} is another instance's");
                    continue;
                }
                leaving.remove(path);
                let state = match known.get(path) {
                    Some(same) if same.name == *name => continue,
                    Some(renamed) => renamed.state(),
                    None => *state,
                };
                known.insert(path.clone(), Known::new(name.clone(), state));
            }
        }
        *self.names.borrow_mut() = objects.map(|o| (o.service, o.vrrp));
        self.say(Say::Objects);
        // Also for those who wait for a name to take.
        self.news.notify_one();
    }

    /// A new state.
    pub fn state(&self, name: &str, state: VrrpState) {
        let found = {
            let known = self.instances.borrow();
            let found = known.iter().find(|(_, known)| *known.name == *name);
            found.map(|(path, known)| {
                let news = known.state() != state;
                known.set(state);
                (path.clone(), news)
            })
        };
        if let Some((path, true)) = found {
            self.say(Say::State(path, state));
        }
    }

    /// What has left is removed.
    pub fn reloaded(&self) {
        for path in std::mem::take(&mut *self.leaving.borrow_mut()) {
            self.instances.borrow_mut().remove(&path);
        }
        self.say(Say::Objects);
        self.say(Say::Reloaded);
    }

    /// The end; `done` is dropped at once when there is no bus.
    pub fn stop(&self, done: oneshot::Sender<()>) {
        self.say(Say::Stopped(done));
    }

    /// Name on the bus and path of the program's object; `None` without `enable_dbus`.
    pub fn names(&self) -> Option<(String, String)> {
        self.names.borrow().clone()
    }

    /// Everything that is to be there.
    pub fn instances(&self) -> BTreeMap<String, Arc<Known>> {
        self.instances.borrow().clone()
    }

    /// From now on the queue is filled, or not.
    pub fn set_connected(&self, connected: bool) {
        self.queue.borrow_mut().clear();
        self.connected.set(connected);
    }

    /// The next thing to say.
    pub async fn next(&self) -> Say {
        loop {
            let first = self.queue.borrow_mut().pop_front();
            match first {
                Some(say) => return say,
                None => self.news.notified().await,
            }
        }
    }

    /// Waits for a configuration.
    pub async fn changed(&self) {
        self.news.notified().await;
    }

    fn say(&self, say: Say) {
        if !self.connected.get() {
            return;
        }
        let mut queue = self.queue.borrow_mut();
        if queue.len() >= QUEUE && matches!(say, Say::State(..) | Say::Reloaded) {
            // Once: until the bus has taken some.
            if queue.len() == QUEUE {
                warn!(target: "vrrp", "D-Bus: {QUEUE} signals wait for the bus - further ones are dropped");
                queue.push_back(Say::Objects);
            }
            return;
        }
        queue.push_back(say);
        self.news.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(instances: &[(&str, &str)]) -> Option<Objects> {
        Some(Objects {
            service: "s".into(),
            vrrp: "/v".into(),
            instances: instances
                .iter()
                .map(|(path, name)| ((*path).into(), (*name).into(), VrrpState::Init))
                .collect(),
        })
    }

    #[test]
    fn who_leaves_tells_its_end_first() {
        let table = Table::default();
        table.configure(objects(&[("/a", "one"), ("/b", "two")]));
        table.set_connected(true);
        table.state("two", VrrpState::Master);
        table.configure(objects(&[("/a", "one")]));
        table.state("two", VrrpState::Deleted);
        table.reloaded();
        let said: Vec<_> = std::mem::take(&mut *table.queue.borrow_mut()).into();
        assert!(matches!(&said[0], Say::State(path, VrrpState::Master) if path == "/b"));
        assert!(matches!(&said[2], Say::State(path, VrrpState::Deleted) if path == "/b"));
        assert!(matches!(said[4], Say::Reloaded));
        assert_eq!(table.instances().keys().collect::<Vec<_>>(), ["/a"]);
    }

    #[test]
    fn a_new_name_keeps_the_state() {
        let table = Table::default();
        table.configure(objects(&[("/a", "one")]));
        table.state("one", VrrpState::Master);
        table.configure(objects(&[("/a", "uno")]));
        let known = table.instances().remove("/a").unwrap();
        assert_eq!((&*known.name, known.state()), ("uno", VrrpState::Master));
    }

    #[test]
    fn a_bus_that_takes_nothing_costs_bounded_memory() {
        let table = Table::default();
        table.configure(objects(&[("/a", "one")]));
        table.set_connected(true);
        for _ in 0..2 * QUEUE {
            table.state("one", VrrpState::Master);
            table.state("one", VrrpState::Backup);
        }
        assert_eq!(table.queue.borrow().len(), QUEUE + 1);
    }
}
