use super::{Bench, CHECKED, read, server, table};
use keepalived_rs::lvs::{Lvs, LvsSettings};
use keepalived_rs::state::lvs::LvsEffect;
use std::fmt::Write;

const VS: &str = "[10.0.0.1]:tcp:80";

#[test]
fn the_same_file_changes_nothing() {
    let text = server("sorry_server 10.1.0.9 80", &[CHECKED, CHECKED]);
    let mut bench = Bench::running(&text);
    bench.down(0);
    bench.down(1);
    let before = bench.lvs.table();
    assert_eq!(bench.configure(&text), Vec::<String>::new());
    assert_eq!(bench.lvs.table(), before);
    assert_eq!(
        bench.up(0)[0],
        "Adding service [10.1.0.1]:tcp:80 to VS [10.0.0.1]:tcp:80"
    );
}

#[test]
fn a_weight_is_edited() {
    let mut bench = Bench::running(&server("", &["weight 2\nTCP_CHECK {\n}"]));
    assert_eq!(
        bench.configure(&server("", &["weight 5\nTCP_CHECK {\n}"])),
        [
            "Changing weight from 2 to 5 for active service [10.1.0.1]:tcp:80 of VS [10.0.0.1]:tcp:80",
            "= [10.0.0.1]:tcp:80 -> [10.1.0.1]:80 5",
        ]
    );
}

#[test]
fn a_server_that_is_down_stays_down_when_its_check_changes() {
    let mut bench = Bench::running(&server("", &[CHECKED, CHECKED]));
    bench.down(0);
    let said = bench.configure(&server("", &["TCP_CHECK {\nconnect_timeout 3\n}", CHECKED]));
    assert_eq!(
        said,
        [
            "stop 0",
            "Activating healthchecker for service [10.1.0.1]:tcp:80 for VS [10.0.0.1]:tcp:80",
            "start 2",
        ]
    );
    assert_eq!(table(&bench.lvs.table()), [VS, "  [10.1.0.2]:80 1"]);
    assert_eq!(bench.down(2), Vec::<String>::new());
    assert_eq!(
        bench.up(2)[0],
        "Adding service [10.1.0.1]:tcp:80 to VS [10.0.0.1]:tcp:80"
    );
}

#[test]
fn a_server_whose_check_is_taken_away_comes_back() {
    let mut bench = Bench::running(&server("", &[CHECKED, CHECKED]));
    bench.down(0);
    let said = bench.configure(&server("", &["", CHECKED]));
    assert!(
        said.contains(&"Adding service [10.1.0.1]:tcp:80 to VS [10.0.0.1]:tcp:80".to_owned()),
        "{said:?}"
    );
}

#[test]
fn servers_come_and_go() {
    let mut bench = Bench::running(&server("", &[CHECKED, CHECKED]));
    let said = bench.configure(&server("", &[CHECKED]));
    assert_eq!(
        said,
        [
            "service [10.1.0.2]:tcp:80 no longer exist",
            "stop 1",
            "Removing service [10.1.0.2]:tcp:80 from VS [10.0.0.1]:tcp:80",
            "- [10.0.0.1]:tcp:80 -> [10.1.0.2]:80",
        ]
    );
    let said = bench.configure(&server("", &[CHECKED, CHECKED]));
    assert_eq!(
        said,
        [
            "+ [10.0.0.1]:tcp:80 -> [10.1.0.2]:80 1",
            "Activating healthchecker for service [10.1.0.2]:tcp:80 for VS [10.0.0.1]:tcp:80",
            "start 2",
        ]
    );
}

#[test]
fn virtual_servers_come_and_go() {
    let one = server("", &[CHECKED]);
    let two = one.replace("10.0.0.1 80", "10.0.0.1 81");
    let mut bench = Bench::running(&format!("{one}{two}"));
    assert_eq!(
        bench.configure(&one),
        [
            "Removing Virtual Server [10.0.0.1]:tcp:81",
            "stop 1",
            "Removing service [10.1.0.1]:tcp:80 from VS [10.0.0.1]:tcp:81",
            "- [10.0.0.1]:tcp:81",
        ]
    );
    let said = bench.configure(&format!("{two}{one}"));
    assert!(
        said.contains(&"Gained quorum 1+0=1 <= 1 for VS [10.0.0.1]:tcp:81".to_owned()),
        "{said:?}"
    );
    assert!(
        !said.iter().any(|line| line.contains("for VS [10.0.0.1]:tcp:80")),
        "{said:?}"
    );
}

#[test]
fn the_scheduler_is_edited_in_place() {
    let mut bench = Bench::running(&server("", &[CHECKED]));
    let text = server("", &[CHECKED]).replace("lvs_sched rr", "lvs_sched wlc");
    assert_eq!(bench.configure(&text), ["= [10.0.0.1]:tcp:80 wlc"]);
}

#[test]
fn a_sorry_server_in_use_changes() {
    let mut bench = Bench::running(&server("sorry_server 10.1.0.9 80", &[CHECKED]));
    bench.down(0);
    bench.configure(&server("sorry_server 10.1.0.8 80", &[CHECKED]));
    assert_eq!(table(&bench.lvs.table()), [VS, "  [10.1.0.8]:80 1"]);
    let said = bench.configure(&server("", &[CHECKED]));
    assert_eq!(
        said[0],
        "Removing sorry server [10.1.0.8]:tcp:80 from VS [10.0.0.1]:tcp:80"
    );
    assert_eq!(table(&bench.lvs.table()), [VS]);
}

#[test]
fn lines_of_a_group_come_and_go() {
    let text = |lines: &str| {
        format!(
            "virtual_server_group G {{\n{lines}\n}}\nvirtual_server group G {{\nlvs_sched rr\nlvs_method NAT\n\
             protocol TCP\nreal_server 10.1.0.1 80 {{\n}}\n}}\n"
        )
    };
    let mut bench = Bench::running(&text("10.0.0.1 8080"));
    assert_eq!(
        bench.configure(&text("10.0.0.1 8089")),
        [
            "VS [[10.0.0.1]:tcp:8080] in group G no longer exists",
            "VS [[10.0.0.1]:tcp:8089] added into group G",
            "- [10.0.0.1]:tcp:8080",
            "+ [10.0.0.1]:tcp:8089 rr",
            "+ [10.0.0.1]:tcp:8089 -> [10.1.0.1]:80 1",
        ]
    );
}

fn many(servers: u32, weight: u32) -> String {
    let mut text = String::new();
    for number in 0..servers {
        let (high, low) = (number / 250, number % 250 + 1);
        let _ = writeln!(
            text,
            "virtual_server 10.0.{high}.{low} 80 {{\nprotocol TCP\nlvs_sched rr\nlvs_method NAT\nquorum_up /bin/s"
        );
        for real in 1..=20 {
            let weight = if real == 7 { weight } else { 1 };
            let _ = writeln!(
                text,
                "real_server 10.1.{high}.{real} {} {{\nweight {weight}\nTCP_CHECK {{\n}}\n}}",
                1000 + low
            );
        }
        text += "}\n";
    }
    text
}

fn cpu() -> std::time::Duration {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
    time.into()
}

/// The work of a reload grows with what there is: eight times the servers may take ten times as long, not 64 times.
#[test]
fn a_reload_of_everything_takes_time_in_proportion() {
    let mut times = Vec::new();
    for servers in [250, 2000] {
        let (before, after) = (read(&many(servers, 1)), read(&many(servers, 2)));
        let mut lvs = Lvs::default();
        let mut effects = Vec::new();
        lvs.configure(&before.lvs, LvsSettings::default(), &mut effects);
        let mut best = std::time::Duration::MAX;
        for config in [&after, &before, &after] {
            effects.clear();
            let begun = cpu();
            lvs.configure(&config.lvs, LvsSettings::default(), &mut effects);
            best = best.min(cpu() - begun);
        }
        let edits = effects
            .iter()
            .filter(|e| matches!(e, LvsEffect::Kernel(_)))
            .count();
        assert_eq!(edits, servers as usize, "one server of each changed");
        times.push(best);
    }
    println!("250 virtual servers: {:?}, 2000: {:?} of CPU", times[0], times[1]);
    assert!(times[1] < times[0] * 24, "{times:?}");
}
