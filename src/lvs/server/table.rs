//! What of a virtual server is in the kernel's table.

use super::Server;
use crate::lvs::entries;
use crate::lvs::pool::{Owner, Pool};
use crate::model::lvs::{RealServer, VirtualServer};
use crate::state::lvs::{DestinationSettings, LvsEffect};

impl Server {
    /// Everything in the table that is this server's is as it is to be.
    pub fn sync(&mut self, pool: &mut Pool, out: &mut Vec<LvsEffect>) {
        self.sync_sorry(pool, out);
        for place in 0..self.reals.len() {
            self.sync_real(place, pool, out);
        }
    }

    pub fn sync_real(&mut self, place: usize, pool: &mut Pool, out: &mut Vec<LvsEffect>) {
        let (Some(config), Some(real)) = (self.config.real_servers.get(place), self.reals.get(place)) else {
            return;
        };
        let used = real.alive && !self.sorry.alive;
        let weight = match (used, config.inhibit) {
            (true, _) => Some(real.weight(config)),
            (false, true) => Some(0),
            (false, false) => None,
        };
        let settings = weight.map(|weight| DestinationSettings {
            method: config.method,
            weight,
            upper: config.upper_threshold,
            lower: config.lower_threshold,
        });
        let owner = Owner(self.id, false);
        for key in &self.keys {
            let destination = entries::destination(key, config.address, config.port, config.method);
            match settings {
                Some(settings) => pool.put(*key, destination, owner, settings, out),
                None => pool.take(*key, destination, owner, out),
            }
        }
        self.reals[place].set = settings.is_some();
    }

    pub(super) fn sync_sorry(&mut self, pool: &mut Pool, out: &mut Vec<LvsEffect>) {
        let Some(sorry) = &self.config.sorry_server else {
            return;
        };
        let weight = match (self.sorry.alive, sorry.inhibit) {
            (true, _) => Some(1),
            (false, true) => Some(0),
            (false, false) => None,
        };
        let owner = Owner(self.id, true);
        for key in &self.keys {
            let destination = entries::destination(key, sorry.address, sorry.port, sorry.method);
            match weight {
                Some(weight) => {
                    let settings = DestinationSettings {
                        method: sorry.method,
                        weight,
                        ..DestinationSettings::default()
                    };
                    pool.put(*key, destination, owner, settings, out);
                }
                None => pool.take(*key, destination, owner, out),
            }
        }
        self.sorry.set = weight.is_some();
    }

    /// A real server leaves the table for good.
    pub fn take_real(&self, config: &RealServer, pool: &mut Pool, out: &mut Vec<LvsEffect>) {
        for key in &self.keys {
            let destination = entries::destination(key, config.address, config.port, config.method);
            pool.take(*key, destination, Owner(self.id, false), out);
        }
    }

    /// The sorry server leaves the table for good; `config` is what it was put there with.
    pub fn take_sorry(&self, config: &VirtualServer, pool: &mut Pool, out: &mut Vec<LvsEffect>) {
        let Some(sorry) = &config.sorry_server else {
            return;
        };
        for key in &self.keys {
            let destination = entries::destination(key, sorry.address, sorry.port, sorry.method);
            pool.take(*key, destination, Owner(self.id, true), out);
        }
    }
}
