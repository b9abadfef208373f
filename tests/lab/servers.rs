//! Settings of checks and of their notifications.

use std::fs;
use std::net::TcpListener;

use crate::common::daemon::ours_only;
use crate::common::{secs, wait_until};
use crate::pair::Single;

/// A virtual server whose only server is on the daemon's own host.
fn service(globals: &str, real: &str) -> String {
    format!(
        "global_defs {{\n    script_user root\n    {globals}\n}}\nvirtual_server 192.0.2.100 80 {{\n    protocol TCP\n    \
         delay_loop 1\n    real_server 192.0.2.1 81 {{\n        {real}\n        TCP_CHECK {{\n            connect_timeout 1\n            \
         warmup 0\n            retry 3\n            delay_before_retry 1\n        }}\n    }}\n}}\n"
    )
}

/// `checker_log_all_failures`: also those after which it is tried again.
pub fn every_failure_is_logged_when_told_so() {
    ours_only("without IPVS it does not start");
    for (more, lines) in [("", 0), ("checker_log_all_failures", 4)] {
        let single = Single::new(&service(more, ""));
        let listen = || TcpListener::bind("192.0.2.1:81").expect("a free port");
        let listener = single.host.space().run(listen);
        let mut daemon = single.start();
        let accepted = listener.accept().expect("a check that is good");
        drop((accepted, listener));
        daemon.expect(
            "TCP_CHECK on service [192.0.2.1]:tcp:81 failed after 3 retries.",
            secs(9.0),
        );
        let failed = daemon.count("TCP connection to [192.0.2.1]:tcp:81 failed.");
        assert_eq!(failed, lines, "{more}:\n{}", daemon.log_text());
    }
}

/// `rs_init_notifies`: the scripts of servers are run for the state that they begin with.
pub fn the_first_state_of_servers_is_told_when_asked_for() {
    ours_only("without IPVS it does not start");
    for (more, expected) in [("", "down\n"), ("rs_init_notifies", "up\ndown\n")] {
        let single = Single::new("");
        single.host.script("say", "#!/bin/sh\necho \"$1\" >>/run/said\n");
        let notify = "notify_up \"/etc/keepalived/say up\"\n        notify_down \"/etc/keepalived/say down\"";
        single.host.write("keepalived.conf", &service(more, notify));
        let _daemon = single.start();
        let said = || fs::read_to_string(single.host.run_file("said")).unwrap_or_default();
        wait_until("the server to be down", secs(9.0), || {
            said().contains("down").then_some(())
        });
        assert_eq!(said(), expected, "{more}");
    }
}
