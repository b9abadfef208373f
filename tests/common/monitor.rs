//! What the kernel tells of addresses on a host: `ip monitor address`, from a point on that is known.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use super::net::Host;
use super::{secs, wait_until};

pub struct Monitor {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    marks: u32,
}

impl Monitor {
    /// Follows from now on: returns once it is seen to hear.
    pub fn start(host: &Host) -> Self {
        let mut child = Command::new("ip")
            .args(["-n", &host.space().name, "-o", "monitor", "address"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("ip monitor");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&lines);
        let output = child.stdout.take().expect("its output is a pipe");
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                to.lock().unwrap_or_else(|e| e.into_inner()).push(line);
            }
        });
        let mut monitor = Self {
            child,
            lines,
            marks: 0,
        };
        monitor.mark(host);
        monitor
    }

    /// What was told since the start or the last time, all of it: a mark of our own is waited for.
    pub fn changes(&mut self, host: &Host) -> Vec<String> {
        self.mark(host)
    }

    fn mark(&mut self, host: &Host) -> Vec<String> {
        self.marks += 1;
        let mut added = 0;
        wait_until("ip monitor to follow", secs(5.0), || {
            // Again and again, since it may not be listening yet the first time.
            added += 1;
            let mark = format!("127.77.{}.{added}", self.marks);
            host.ip(&format!("address add {mark}/32 dev lo"));
            thread::sleep(std::time::Duration::from_millis(50));
            let lines = self.lines.lock().unwrap_or_else(|e| e.into_inner());
            lines
                .iter()
                .any(|line| line.contains(&format!("{mark}/32")))
                .then_some(())
        });
        let mut lines = self.lines.lock().unwrap_or_else(|e| e.into_inner());
        let told = std::mem::take(&mut *lines);
        told.into_iter()
            .filter(|line| !line.contains("127.77."))
            .collect()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
