//! Random edits of the file of a running master, as fast as it reads them: nobody notices what an edit does not touch.
//!
//! `EDITS=1000 LAB_LONGEST=600 EDITS_SEED=N cargo test --test lab edits` takes so many, from another seed.

#[path = "../common/edits.rs"]
mod story;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nix::sys::signal::Signal;

use self::story::{Dice, Edited, File, Key};
use crate::common::daemon::{Start, ours_only};
use crate::common::monitor::Monitor;
use crate::common::{Observer, Which, now_ns, secs, wait_until};
use crate::pair::{Single, instance, start};

fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What the log has told of the instances, by their names, which are given once.
#[derive(Default)]
struct Told {
    lines: usize,
    masters: BTreeSet<String>,
    problems: Vec<String>,
}

impl Told {
    /// Reads on. `known`: names that were in the file before the last edit, and are now.
    fn read(&mut self, log: &str, stays: impl Fn(&str) -> bool, renamed: &BTreeMap<String, String>) {
        for (before, after) in renamed {
            if self.masters.contains(before) {
                self.masters.insert(after.clone());
            }
        }
        let lines: Vec<&str> = log.lines().skip(self.lines).collect();
        self.lines += lines.len();
        for line in lines {
            let Some((_, text)) = line.trim_start().split_once(" (") else {
                continue;
            };
            let Some((name, text)) = text.split_once(") ") else {
                continue;
            };
            let was_master = self.masters.contains(name);
            match text {
                "Entering MASTER STATE" if was_master => self.problems.push(line.to_owned()),
                "Entering MASTER STATE" => drop(self.masters.insert(name.to_owned())),
                "Entering BACKUP STATE" => self.problems.push(line.to_owned()),
                "Entering BACKUP STATE (init)" if was_master => self.problems.push(line.to_owned()),
                "sent 0 priority" if stays(name) => self.problems.push(line.to_owned()),
                _ if text.contains("FAULT") => self.problems.push(line.to_owned()),
                _ => {}
            }
        }
    }
}

/// The longest silence of each virtual router of a segment, up to now.
fn silences(watch: &Observer, from: i64) -> BTreeMap<u8, Duration> {
    let mut last: BTreeMap<u8, i64> = BTreeMap::new();
    let mut longest: BTreeMap<u8, i64> = BTreeMap::new();
    for seen in watch.seen_since(from) {
        if let Some(advert) = seen.advert().filter(|a| a.priority > 0) {
            let before = last.insert(advert.vrid, seen.at).unwrap_or(seen.at);
            let gap = longest.entry(advert.vrid).or_default();
            *gap = (*gap).max(seen.at - before);
        }
    }
    let nanos = |n: i64| Duration::from_nanos(u64::try_from(n).unwrap_or(0));
    longest
        .into_iter()
        .map(|(vrid, gap)| (vrid, nanos(gap)))
        .collect()
}

pub fn random_edits_are_not_noticed() {
    ours_only("it resets what has moved");
    let (count, seed) = (number("EDITS", 60), number("EDITS_SEED", 1));
    eprintln!("{count} edits from seed {seed}");
    let mut dice = Dice(seed);
    let mut file = File::new(&mut dice);
    let script = "/etc/keepalived/check.sh";
    let single = Single::new(&file.text(script));
    single.host.script("check.sh", "#!/bin/sh\nexit 0\n");
    let second = single.lab.segment();
    single
        .lab
        .connect(&single.host, "eth1", &second, &["198.51.100.1/24"]);
    let watches = [("eth0", &single.watch), ("eth1", &single.lab.watch(&second))];
    // It takes over when the anchor, which no edit removes, is silent for three intervals.
    let peer = single.peer(
        "peer",
        2,
        &instance("PEER", 1, 50, &["10.255.0.1"], "version 3\n    advert_int 0.2"),
    );
    let mut daemon = Start::new(&single.host, Which::Tested).log_to_file().spawn();
    let begin = now_ns();
    daemon.expect("Entering MASTER STATE", secs(5.0));
    single
        .watch
        .wait("the anchor", begin, secs(5.0), |s| s.is_advert(1));
    let mut other = start(&peer);
    other.expect("(PEER) Entering BACKUP STATE (init)", secs(3.0));
    for one in &file.instances {
        let line = format!("({}) Entering MASTER STATE", one.name);
        wait_until(&line, secs(5.0), || (daemon.count(&line) > 0).then_some(()));
    }
    // As long without edits: what the machine itself does.
    let quiet_from = now_ns();
    single
        .watch
        .wait_nth("a quiet time", quiet_from, 20, secs(10.0), |s| s.is_advert(1));
    let quiet = watches
        .iter()
        .flat_map(|(_, watch)| silences(watch, quiet_from).into_values())
        .max();
    let quiet = quiet.unwrap_or_default();

    let mut monitor = Monitor::start(&single.host);
    let mut told = Told::default();
    told.read(&daemon.log_text(), |_| true, &BTreeMap::new());
    let mut may_go: BTreeSet<(String, String)> = BTreeSet::new();
    let (mut longest, mut from) = (0.0_f64, now_ns());
    // The longer of the intervals before and after each edit: what is looked at reaches back beyond it.
    let mut history: Vec<(i64, Key, u32)> = Vec::new();
    for edit in 0..count {
        let before: BTreeMap<Key, Edited> = file.by_key().into_iter().map(|(k, i)| (k, i.clone())).collect();
        let what: Vec<String> = (0..1 + dice.below(3)).map(|_| file.edit(&mut dice)).collect();
        let story = format!("seed {seed}, edit {edit} ({})", what.join(", "));
        single.host.write("keepalived.conf", &file.text(script));
        daemon.skip_log();
        daemon.signal(Signal::SIGHUP);
        daemon.expect("Reload complete", secs(10.0));
        if dice.below(4) == 0 {
            // Sometimes time for new ones to become masters, mostly none.
            single
                .watch
                .wait_nth("time to pass", now_ns(), 4, secs(5.0), |s| s.is_advert(1));
        }

        let after = file.by_key();
        let masters_before = told.masters.clone();
        let renamed: BTreeMap<String, String> = before
            .iter()
            .filter_map(|(key, old)| Some((old.name.clone(), after.get(key)?.name.clone())))
            .collect();
        let stays = |name: &str| {
            before.values().any(|i| i.name == name) && renamed.contains_key(name)
                || renamed.values().any(|new| new == name)
        };
        told.read(&daemon.log_text(), stays, &renamed);
        assert!(told.problems.is_empty(), "{story}: {:#?}", told.problems);

        // An address may go when no instance that is surely master has it any more.
        let safe: BTreeSet<(&str, &str)> = after
            .iter()
            .filter(|(key, _)| {
                before
                    .get(*key)
                    .is_some_and(|old| masters_before.contains(&old.name))
            })
            .flat_map(|(_, now)| now.addresses())
            .collect();
        let had = before.values().flat_map(Edited::addresses);
        may_go.extend(
            had.filter(|address| !safe.contains(address))
                .map(|(i, a)| (i.to_owned(), a.to_owned())),
        );
        if edit % 10 == 9 || edit + 1 == count {
            for line in monitor.changes(&single.host) {
                let words: Vec<&str> = line.split_whitespace().collect();
                let gone = words.first().is_some_and(|word| *word == "Deleted");
                let at = words.iter().position(|word| *word == "inet");
                if let (true, Some(at)) = (gone, at) {
                    let address = words[at + 1].trim_end_matches("/32").to_owned();
                    let key = (words[at - 1].to_owned(), address);
                    assert!(may_go.contains(&key), "{story}: {line}");
                }
            }
        }

        for (interface, watch) in &watches {
            let silences = silences(watch, from);
            for (key, now) in after.iter().filter(|(key, _)| key.1 == *interface) {
                let Some(old) = before.get(key).filter(|old| masters_before.contains(&old.name)) else {
                    continue;
                };
                history.push((now_ns(), *key, old.interval.max(now.interval)));
                let recent = history.iter().filter(|(at, k, _)| k == key && *at >= from);
                let interval = recent.map(|(_, _, interval)| *interval).max().unwrap_or(0);
                let interval = secs(f64::from(interval) / 1000.0);
                let silence = silences.get(&key.0).copied().unwrap_or_default();
                longest = longest.max(silence.as_secs_f64() / interval.as_secs_f64());
                assert!(
                    silence <= interval.mul_f64(1.5).max(quiet.mul_f64(1.5)),
                    "{story}: VRID {} was silent for {silence:?}; quiet {quiet:?}",
                    key.0
                );
            }
        }
        // The last adverts of this round are the first ones of the next.
        from = now_ns() - 1_200_000_000;
        history.retain(|(at, ..)| *at >= from);
    }
    assert!(told.masters.len() > 4, "it has read the log: {:?}", told.masters);
    eprintln!("longest silence: {longest:.2} intervals; without edits {quiet:?}");
    other.never("Entering MASTER STATE");
}
