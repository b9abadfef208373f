//! The small set-ups that most tests of this folder share.

use crate::common::daemon::Start;
use crate::common::{Daemon, Host, Lab, Observer, Which};

/// `vrrp_instance NAME` with these settings; `more` holds further lines.
pub fn instance(name: &str, vrid: u8, priority: u8, vips: &[&str], more: &str) -> String {
    let vips: String = vips.iter().map(|vip| format!("        {vip}\n")).collect();
    format!(
        "vrrp_instance {name} {{\n    interface eth0\n    virtual_router_id {vrid}\n    priority {priority}\n    \
         {more}\n    virtual_ipaddress {{\n{vips}    }}\n}}\n"
    )
}

/// One host on a segment that is watched.
pub struct Single {
    pub host: Host,
    pub watch: Observer,
    pub segment: crate::common::net::Segment,
    pub lab: Lab,
}

impl Single {
    /// The host is 192.0.2.1 on eth0.
    pub fn new(configuration: &str) -> Self {
        let lab = Lab::new();
        let segment = lab.segment();
        let host = lab.host("one");
        lab.connect(&host, "eth0", &segment, &["192.0.2.1/24"]);
        host.write("keepalived.conf", configuration);
        let watch = lab.watch(&segment);
        Self {
            host,
            watch,
            segment,
            lab,
        }
    }

    pub fn start(&self) -> Daemon {
        start(&self.host)
    }

    /// Another host on the same segment.
    pub fn peer(&self, name: &str, last: u8, configuration: &str) -> Host {
        let host = self.lab.host(name);
        self.lab
            .connect(&host, "eth0", &self.segment, &[&format!("192.0.2.{last}/24")]);
        host.write("keepalived.conf", configuration);
        host
    }
}

/// The daemon under test in the foreground.
pub fn start(host: &Host) -> Daemon {
    Start::new(host, Which::Tested).spawn()
}
