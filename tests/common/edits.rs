//! A configuration that somebody edits again and again: the text, what each edit was, and what must not be
//! noticed of it. Each seed is another story, and the same one each time.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// SplitMix64.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end.max(1) as u64) as usize
    }
}

/// What makes an instance the same one for a daemon that reads the file again.
pub type Key = (u8, &'static str);

#[derive(Clone, Debug)]
pub struct Edited {
    /// Never given to another one.
    pub name: String,
    pub vrid: u8,
    pub interface: &'static str,
    pub version_3: bool,
    pub priority: u8,
    /// Milliseconds.
    pub interval: u32,
    pub vips: Vec<String>,
    pub excluded: Vec<String>,
    pub password: Option<u8>,
    pub nopreempt: bool,
    pub track_interface: bool,
    pub track_script: bool,
    pub garp_repeat: u8,
    pub group: Option<usize>,
}

impl Edited {
    pub fn key(&self) -> Key {
        (self.vrid, self.interface)
    }

    /// Address and interface.
    pub fn addresses(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = self.vips.iter().chain(&self.excluded);
        all.map(|address| (self.interface, address.as_str()))
    }
}

/// The file. The first instance is an anchor: VRID 1 on eth0, version 3, without password, always there.
#[derive(Clone, Debug)]
pub struct File {
    pub instances: Vec<Edited>,
    /// Numbers in the names of the sync groups, which change when one is renamed.
    groups: [u32; 3],
    next: u32,
}

pub const INTERFACES: [&str; 2] = ["eth0", "eth1"];
const FEWEST: usize = 3;
const MOST: usize = 7;

impl File {
    pub fn new(dice: &mut Dice) -> Self {
        let mut file = Self {
            instances: Vec::new(),
            groups: [1, 2, 3],
            next: 0,
        };
        for _ in 0..4 {
            file.add(dice);
        }
        file
    }

    fn number(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    fn address(&mut self) -> String {
        let n = self.number();
        format!("10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255)
    }

    fn add(&mut self, dice: &mut Dice) {
        let used: BTreeSet<u8> = self.instances.iter().map(|i| i.vrid).collect();
        let vrid = (1..=255).find(|vrid| !used.contains(vrid)).unwrap_or(255);
        // A VRID that was given up long ago may come back; its name does not.
        let vrid = if vrid == 1 {
            1
        } else {
            let free: Vec<u8> = (2..40).filter(|vrid| !used.contains(vrid)).collect();
            free[dice.below(free.len())]
        };
        let one = Edited {
            name: format!("VI_{}", self.number()),
            vrid,
            interface: INTERFACES[if vrid == 1 { 0 } else { dice.below(2) }],
            version_3: true,
            priority: 100,
            interval: 100,
            vips: vec![self.address(), self.address()],
            excluded: Vec::new(),
            password: None,
            nopreempt: false,
            track_interface: false,
            track_script: false,
            garp_repeat: 5,
            group: None,
        };
        self.instances.push(one);
    }

    /// One edit; says what it was.
    pub fn edit(&mut self, dice: &mut Dice) -> String {
        let count = self.instances.len();
        let at = dice.below(count);
        let other = dice.below(count);
        let fresh = self.number();
        let anchor = self.instances[at].vrid == 1;
        let name = self.instances[at].name.clone();
        let spare = self.address();
        let one = &mut self.instances[at];
        match dice.below(18) {
            0 => one.priority = 100 + dice.below(100) as u8,
            1 if one.version_3 => one.interval = [100, 150, 200][dice.below(3)],
            2 => one.vips.insert(dice.below(one.vips.len() + 1), spare),
            3 if one.vips.len() > 1 => drop(one.vips.remove(dice.below(one.vips.len()))),
            4 if at != other && one.vips.len() > 1 => {
                let vip = one.vips.remove(dice.below(one.vips.len()));
                let to = &mut self.instances[other];
                to.vips.push(vip);
                return format!("an address moves from {name} to {}", to.name);
            }
            5 => one.group = [None, Some(0), Some(1), Some(2)][dice.below(4)],
            6 => one.name = format!("VI_{fresh}"),
            7 if !anchor => {
                one.interface = INTERFACES[usize::from(one.interface == INTERFACES[0])];
                one.name = format!("VI_{fresh}");
            }
            8 if !anchor => {
                one.version_3 = !one.version_3;
                one.interval = if one.version_3 { 100 } else { 1000 };
                one.password = None;
            }
            9 if !one.version_3 => one.password = [None, Some(1), Some(2)][dice.below(3)],
            10 => one.track_interface = !one.track_interface,
            11 => one.track_script = !one.track_script,
            12 if !anchor && count > FEWEST => drop(self.instances.remove(at)),
            13 if count < MOST => self.add(dice),
            14 => self.instances.swap(at, other),
            15 => self.groups[at % 3] = fresh,
            16 => {
                let excluded = std::mem::take(&mut one.excluded);
                match one.vips.len() {
                    1 => one.vips.extend(excluded),
                    most => {
                        one.excluded = one.vips.split_off(1 + dice.below(most - 1));
                        one.vips.extend(excluded);
                    }
                }
            }
            17 => {
                one.garp_repeat = 1 + dice.below(5) as u8;
                one.nopreempt = !one.nopreempt;
            }
            _ => return format!("nothing about {name}"),
        }
        format!("edit of {name}")
    }

    pub fn text(&self, script: &str) -> String {
        let mut text = format!(
            "global_defs {{\n    script_user root root\n    enable_script_security\n    \
             vrrp_garp_master_delay 0\n}}\nvrrp_script check {{\n    script \"{script}\"\n    interval 60\n    weight 1\n}}\n"
        );
        for i in &self.instances {
            let _ = write!(
                text,
                "vrrp_instance {} {{\n    interface {}\n    virtual_router_id {}\n    version {}\n    priority {}\n    \
                 advert_int {}\n    garp_master_repeat {}\n",
                i.name,
                i.interface,
                i.vrid,
                if i.version_3 { 3 } else { 2 },
                i.priority,
                f64::from(i.interval) / 1000.0,
                i.garp_repeat
            );
            if i.nopreempt {
                text.push_str("    nopreempt\n");
            }
            if let Some(password) = i.password {
                let _ = writeln!(
                    text,
                    "    authentication {{\n        auth_type PASS\n        auth_pass pass{password}\n    }}"
                );
            }
            if i.track_interface {
                text.push_str("    track_interface {\n        lo\n    }\n");
            }
            if i.track_script {
                text.push_str("    track_script {\n        check\n    }\n");
            }
            for (block, list) in [
                ("virtual_ipaddress", &i.vips),
                ("virtual_ipaddress_excluded", &i.excluded),
            ] {
                if !list.is_empty() {
                    let _ = writeln!(
                        text,
                        "    {block} {{\n        {}\n    }}",
                        list.join("\n        ")
                    );
                }
            }
            text.push_str("}\n");
        }
        for (place, number) in self.groups.iter().enumerate() {
            let members: Vec<&str> = self
                .instances
                .iter()
                .filter(|i| i.group == Some(place))
                .map(|i| i.name.as_str())
                .collect();
            if !members.is_empty() {
                let _ = writeln!(
                    text,
                    "vrrp_sync_group VG_{number} {{\n    group {{\n        {}\n    }}\n    sync_group_tracking_weight\n}}",
                    members.join("\n        ")
                );
            }
        }
        text
    }

    pub fn by_key(&self) -> BTreeMap<Key, &Edited> {
        self.instances.iter().map(|i| (i.key(), i)).collect()
    }
}
