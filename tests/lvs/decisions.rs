use super::{Bench, CHECKED, server, table};
use keepalived_rs::lvs::LvsStop;
use keepalived_rs::state::check::CheckVerdict;
use std::collections::BTreeSet;

const VS: &str = "[10.0.0.1]:tcp:80";

#[test]
fn without_alpha_everything_is_in_the_table_at_once() {
    let (_, said) = Bench::start(&server("", &[CHECKED, "weight 3"]));
    assert_eq!(
        said,
        [
            "+ [10.0.0.1]:tcp:80 rr",
            "Gained quorum 1+0=1 <= 4 for VS [10.0.0.1]:tcp:80",
            "+ [10.0.0.1]:tcp:80 -> [10.1.0.1]:80 1",
            "+ [10.0.0.1]:tcp:80 -> [10.1.0.2]:80 3",
            "tell [10.0.0.1]:tcp:80 UP",
            "Activating healthchecker for service [10.1.0.1]:tcp:80 for VS [10.0.0.1]:tcp:80",
            "start 0",
        ]
    );
}

#[test]
fn with_alpha_a_server_enters_after_its_first_good_check() {
    let (mut bench, said) = Bench::start(&server("alpha\nquorum_down /bin/s", &[CHECKED, CHECKED]));
    assert_eq!(said[0], "+ [10.0.0.1]:tcp:80 rr");
    assert!(
        !said
            .iter()
            .any(|line| line.contains("quorum") || line.starts_with("tell")),
        "{said:?}"
    );
    // The first bad check confirms what counted already: only the others are told.
    assert_eq!(bench.down(1), ["tell [10.1.0.2]:tcp:80 DOWN"]);
    assert_eq!(
        bench.up(0),
        [
            "Adding service [10.1.0.1]:tcp:80 to VS [10.0.0.1]:tcp:80",
            "+ [10.0.0.1]:tcp:80 -> [10.1.0.1]:80 1",
            "tell [10.1.0.1]:tcp:80 UP",
            "Gained quorum 1+0=1 <= 1 for VS [10.0.0.1]:tcp:80",
            "tell [10.0.0.1]:tcp:80 UP",
        ]
    );
}

#[test]
fn the_sorry_server_takes_over_and_gives_back() {
    let mut bench = Bench::running(&server("sorry_server 10.1.0.9 80", &[CHECKED]));
    assert_eq!(
        bench.down(0),
        [
            "Removing service [10.1.0.1]:tcp:80 from VS [10.0.0.1]:tcp:80",
            "- [10.0.0.1]:tcp:80 -> [10.1.0.1]:80",
            "tell [10.1.0.1]:tcp:80 DOWN",
            "Lost quorum 1-0=1 > 0 for VS [10.0.0.1]:tcp:80",
            "Adding sorry server [10.1.0.9]:tcp:80 to VS [10.0.0.1]:tcp:80",
            "+ [10.0.0.1]:tcp:80 -> [10.1.0.9]:80 1",
            "Removing alive servers from the pool for VS [10.0.0.1]:tcp:80",
            "tell [10.0.0.1]:tcp:80 DOWN",
        ]
    );
    assert_eq!(
        bench.up(0),
        [
            "Adding service [10.1.0.1]:tcp:80 to VS [10.0.0.1]:tcp:80",
            "tell [10.1.0.1]:tcp:80 UP",
            "Gained quorum 1+0=1 <= 1 for VS [10.0.0.1]:tcp:80",
            "Removing sorry server [10.1.0.9]:tcp:80 from VS [10.0.0.1]:tcp:80",
            "- [10.0.0.1]:tcp:80 -> [10.1.0.9]:80",
            "Adding alive servers to the pool for VS [10.0.0.1]:tcp:80",
            "+ [10.0.0.1]:tcp:80 -> [10.1.0.1]:80 1",
            "tell [10.0.0.1]:tcp:80 UP",
        ]
    );
}

#[test]
fn servers_below_the_quorum_leave_for_the_sorry_server_and_stay_without_one() {
    let lines = "quorum 2\nsorry_server 10.1.0.9 80";
    let mut bench = Bench::running(&server(lines, &[CHECKED, CHECKED]));
    bench.down(0);
    assert_eq!(table(&bench.lvs.table()), [VS, "  [10.1.0.9]:80 1"]);
    let mut bench = Bench::running(&server("quorum 2", &[CHECKED, CHECKED]));
    bench.down(0);
    assert_eq!(table(&bench.lvs.table()), [VS, "  [10.1.0.2]:80 1"]);
}

#[test]
fn a_start_below_the_quorum_has_none() {
    // The second server counts only when its check has succeeded.
    let start = |lines: &str| Bench::start(&server(lines, &[CHECKED, "TCP_CHECK {\nalpha\n}"])).1;
    let gained = |said: &[String]| said.iter().any(|line| line.starts_with("Gained quorum"));
    assert!(gained(&start("")));
    assert!(!gained(&start("quorum 2")));
}

#[test]
fn the_quorum_counts_weights_and_has_hysteresis() {
    let reals = ["weight 2\nTCP_CHECK {\n}", "weight 2\nTCP_CHECK {\n}", CHECKED];
    let (mut bench, said) = Bench::start(&server("alpha\nquorum 3\nhysteresis 1", &reals));
    assert!(!said.iter().any(|line| line.contains("quorum")));
    let quorum = |said: Vec<String>| said.into_iter().find(|line| line.contains("quorum"));
    assert_eq!(quorum(bench.up(0)), None);
    assert_eq!(quorum(bench.up(2)), None);
    bench.down(2);
    assert_eq!(
        quorum(bench.up(1)).as_deref(),
        Some("Gained quorum 3+1=4 <= 4 for VS [10.0.0.1]:tcp:80")
    );
    assert_eq!(quorum(bench.down(1)), None);
    assert_eq!(
        quorum(bench.down(0)).as_deref(),
        Some("Lost quorum 3-1=2 > 0 for VS [10.0.0.1]:tcp:80")
    );
    assert_eq!(quorum(bench.up(0)), None);
}

#[test]
fn an_inhibited_server_stays_with_weight_0() {
    let mut bench = Bench::running(&server(
        "inhibit_on_failure",
        &["weight 5\nTCP_CHECK {\n}", CHECKED],
    ));
    assert_eq!(
        bench.down(0)[..2],
        [
            "Disabling service [10.1.0.1]:tcp:80 of VS [10.0.0.1]:tcp:80",
            "= [10.0.0.1]:tcp:80 -> [10.1.0.1]:80 0",
        ]
    );
    assert_eq!(
        bench.up(0)[..2],
        [
            "Enabling service [10.1.0.1]:tcp:80 of VS [10.0.0.1]:tcp:80",
            "= [10.0.0.1]:tcp:80 -> [10.1.0.1]:80 5",
        ]
    );
    // With alpha it is there before the first check.
    let bench = Bench::running(&server("alpha\ninhibit_on_failure", &[CHECKED]));
    assert_eq!(table(&bench.lvs.table()), [VS, "  [10.1.0.1]:80 0"]);
}

#[test]
fn a_sorry_server_can_wait_in_the_table() {
    let lines = "sorry_server 10.1.0.9 80\nsorry_server_inhibit";
    let mut bench = Bench::running(&server(lines, &[CHECKED]));
    assert_eq!(
        table(&bench.lvs.table()),
        [VS, "  [10.1.0.1]:80 1", "  [10.1.0.9]:80 0"]
    );
    let said = bench.down(0);
    assert!(said.contains(&"Enabling sorry server [10.1.0.9]:tcp:80 to VS [10.0.0.1]:tcp:80".to_owned()));
    assert_eq!(table(&bench.lvs.table()), [VS, "  [10.1.0.9]:80 1"]);
}

#[test]
fn a_checker_changes_the_weight() {
    let misc = "weight 10\nMISC_CHECK {\nmisc_path /bin/s\nmisc_dynamic\n}";
    let mut bench = Bench::running(&server("", &[misc]));
    assert_eq!(
        bench.verdict(0, CheckVerdict::Weight(40)),
        [
            "Changing weight from 10 to 50 for active service [10.1.0.1]:tcp:80 of VS [10.0.0.1]:tcp:80",
            "= [10.0.0.1]:tcp:80 -> [10.1.0.1]:80 50",
        ]
    );
    // Weight 0 stays in the table; the quorum is lost all the same.
    let said = bench.verdict(0, CheckVerdict::Weight(-10));
    assert!(
        said.contains(&"Lost quorum 1-0=1 > 0 for VS [10.0.0.1]:tcp:80".to_owned()),
        "{said:?}"
    );
    assert_eq!(table(&bench.lvs.table()), [VS, "  [10.1.0.1]:80 0"]);
    bench.verdict(0, CheckVerdict::Weight(1_000_000));
    assert_eq!(table(&bench.lvs.table()), [VS, "  [10.1.0.1]:80 65535"]);
    // Down takes what it added, without a word.
    assert_eq!(
        bench.down(0)[0],
        "Removing service [10.1.0.1]:tcp:80 from VS [10.0.0.1]:tcp:80"
    );
    assert_eq!(
        bench.verdict(0, CheckVerdict::Weight(20))[..2],
        [
            "Changing weight from 10 to 30 for inactive service [10.1.0.1]:tcp:80 of VS [10.0.0.1]:tcp:80",
            "Adding service [10.1.0.1]:tcp:80 to VS [10.0.0.1]:tcp:80",
        ]
    );
}

#[test]
fn a_server_with_two_checks_needs_both() {
    let mut bench = Bench::running(&server("", &["TCP_CHECK {\n}\nPING_CHECK {\n}", CHECKED]));
    assert_eq!(
        bench.down(1)[0],
        "Removing service [10.1.0.1]:tcp:80 from VS [10.0.0.1]:tcp:80"
    );
    assert_eq!(bench.down(0), Vec::<String>::new());
    assert_eq!(bench.up(1), Vec::<String>::new());
    assert_eq!(
        bench.up(0)[0],
        "Adding service [10.1.0.1]:tcp:80 to VS [10.0.0.1]:tcp:80"
    );
}

#[test]
fn a_group_is_a_service_for_each_address() {
    let text = "virtual_server_group G {\n10.0.0.1 80\n10.0.0.2-3 81\nfwmark 9\n}\n\
                virtual_server group G {\nlvs_sched rr\nlvs_method TUN\nprotocol TCP\n\
                real_server 10.1.0.1 80 {\nTCP_CHECK {\n}\n}\n}\n";
    let mut bench = Bench::running(text);
    assert_eq!(
        table(&bench.lvs.table()),
        [
            "[10.0.0.1]:tcp:80",
            "  [10.1.0.1]:80 1",
            "[10.0.0.2]:tcp:81",
            "  [10.1.0.1]:81 1",
            "[10.0.0.3]:tcp:81",
            "  [10.1.0.1]:81 1",
            "FWM 9",
            "  [10.1.0.1]:0 1",
        ]
    );
    assert_eq!(bench.checkers.len(), 1);
    assert_eq!(
        bench.down(0)[0],
        "Removing service [10.1.0.1]:tcp:80 from VS [G]:0"
    );
    assert_eq!(table(&bench.lvs.table()).len(), 4);
}

#[test]
fn two_virtual_servers_may_share_a_group() {
    let one = "virtual_server group G {\nlvs_sched rr\nlvs_method NAT\nprotocol TCP\nreal_server 10.1.0.1 80 {\n}\n}\n";
    let two = "virtual_server group G {\nlvs_sched rr\nlvs_method NAT\nprotocol TCP\nreal_server 10.1.0.2 80 {\n}\n}\n";
    let group = "virtual_server_group G {\n10.0.0.1 80\n}\n";
    let mut bench = Bench::running(&format!("{group}{one}{two}"));
    assert_eq!(
        table(&bench.lvs.table()),
        [VS, "  [10.1.0.1]:80 1", "  [10.1.0.2]:80 1"]
    );
    let said = bench.configure(&format!("{group}{one}"));
    assert!(!said.contains(&format!("- {VS}")), "{said:?}");
    assert_eq!(table(&bench.lvs.table()), [VS, "  [10.1.0.1]:80 1"]);
}

#[test]
fn a_network_that_no_kernel_can_hold_is_cut() {
    let text = "virtual_server_group G {\n2001:db8::/64 80\n}\nvirtual_server group G {\nlvs_sched rr\n\
                lvs_method NAT\nprotocol TCP\nreal_server 2001:db8:1::1 80 {\n}\n}\n";
    let bench = Bench::running(text);
    assert_eq!(bench.lvs.table().len(), 65_536);
}

#[test]
fn ha_suspend_checks_only_while_the_address_is_here() {
    let (mut bench, said) = Bench::start(&server("ha_suspend", &[CHECKED]));
    let name = "healthchecker for service [10.1.0.1]:tcp:80 for VS [10.0.0.1]:tcp:80";
    assert_eq!(said.last(), Some(&format!("Deactivating {name}")));
    let here = BTreeSet::from(["10.0.0.1".parse().unwrap()]);
    let mut effects = Vec::new();
    bench.lvs.addresses(here, &mut effects);
    assert_eq!(
        bench.said(&effects),
        [format!("Activating {name}"), "start 0".into()]
    );
    bench.down(0);
    let mut effects = Vec::new();
    bench.lvs.addresses(BTreeSet::new(), &mut effects);
    assert_eq!(
        bench.said(&effects),
        [format!("Suspending {name}"), "stop 0".into()]
    );
    assert_eq!(table(&bench.lvs.table()), [VS], "its verdict stays");
}

#[test]
fn stop_names_every_server_and_omega_tells() {
    let mut bench = Bench::running(&server("omega\nquorum_down /bin/s", &[CHECKED, CHECKED]));
    bench.down(1);
    let mut effects = Vec::new();
    bench.lvs.stop(LvsStop::Remove, &mut effects);
    assert_eq!(
        bench.said(&effects),
        [
            "Shutting down service [10.1.0.1]:tcp:80 from VS [10.0.0.1]:tcp:80",
            "tell [10.1.0.1]:tcp:80 DOWN",
            "Shutting down service [10.1.0.2]:tcp:80 from VS [10.0.0.1]:tcp:80",
            "tell [10.0.0.1]:tcp:80 DOWN script",
            "- [10.0.0.1]:tcp:80",
            "stop 0",
            "stop 1",
        ]
    );
    let mut bench = Bench::running(&server("", &[CHECKED]));
    let mut effects = Vec::new();
    bench.lvs.stop(LvsStop::Leave, &mut effects);
    assert_eq!(bench.said(&effects), ["stop 0"]);
}

#[test]
fn the_first_state_of_real_servers_is_told_when_asked_for() {
    let text = format!("global_defs {{\nrs_init_notifies\n}}\n{}", server("", &[CHECKED]));
    let (_, said) = Bench::start(&text);
    let told: Vec<&String> = said.iter().filter(|line| line.starts_with("tell")).collect();
    assert_eq!(told, ["tell [10.1.0.1]:tcp:80 UP", "tell [10.0.0.1]:tcp:80 UP"]);
}

#[test]
fn mails_say_what_happened_to_whom() {
    let two = "TCP_CHECK {\n}\nMISC_CHECK {\nmisc_path /bin/s\n}";
    let mut bench = Bench::running(&server("smtp_alert", &[two, "smtp_alert no\nTCP_CHECK {\n}"]));
    let start: Vec<String> = std::mem::take(&mut bench.mails)
        .into_iter()
        .map(|m| m.text)
        .collect();
    assert_eq!(start, ["Starting with quorum up 1+0=1 <= 2"]);
    const REAL: &str = "[10.1.0.1]:tcp:80";
    bench.up(0);
    bench.down(0);
    bench.down(1);
    bench.down(2);
    bench.up(1);
    bench.up(0);
    let mails = std::mem::take(&mut bench.mails);
    let texts: Vec<(bool, bool, &str)> = mails.iter().map(|m| (m.up, m.changed, m.text.as_str())).collect();
    assert_eq!(
        texts,
        [
            (false, true, "TCP CHECK failed on service"),
            (false, false, "MISC CHECK failed on service"),
            (false, true, "Lost quorum 1+0=1 <= 0"),
            (false, false, "MISC CHECK succeeded on service"),
            (true, true, "Gained quorum 1+0=1 <= 1"),
            (true, true, "TCP CHECK succeed on service"),
        ]
    );
    assert_eq!(mails[0].real.as_deref(), Some(REAL));
    assert_eq!((mails[2].real.as_deref(), mails[2].server.as_str()), (None, VS));
}
