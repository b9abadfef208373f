//! Writes keepalived's configuration for what an ldirectord.cf says.

use super::Converted;
use super::ldirectord::{File, Real, Service, Settings};
use std::fmt::Write;
use std::net::IpAddr;

pub(super) fn write(file: File) -> Converted {
    let mut writer = Writer {
        text: String::new(),
        notes: file.notes,
        global: file.global,
    };
    writer.notes.push(
        "the addresses of the virtual services are not in ldirectord.cf: a vrrp_instance must bring them up"
            .to_owned(),
    );
    writer.globals();
    for service in &file.services {
        writer.service(service);
    }
    Converted {
        text: writer.text,
        notes: writer.notes,
    }
}

struct Writer {
    text: String,
    notes: Vec<String>,
    global: Settings,
}

/// Settings that have their place in the result, wherever they stand.
const CARRIED: [&str; 27] = [
    "callback",
    "checkcommand",
    "checkinterval",
    "checkport",
    "checktimeout",
    "checktype",
    "emailalert",
    "emailalertfrom",
    "failurecount",
    "fallback",
    "httpmethod",
    "negotiatetimeout",
    "netmask",
    "persistent",
    "protocol",
    "quiescent",
    "receive",
    "request",
    "scheduler",
    "service",
    "smtp",
    "virtualhost",
    "autoreload",
    "comment",
    "servicename",
    "logfile",
    "real",
];

impl Writer {
    fn globals(&mut self) {
        for (line, name, value) in self.global.iter().map(owned).collect::<Vec<_>>() {
            match name.as_str() {
                "autoreload" if value == "yes" => self.notes.push(format!(
                    "line {line}: autoreload: keepalived reads its file again when it is told to (systemctl reload)"
                )),
                "logfile" => self.notes.push(format!(
                    "line {line}: logfile: the log goes to syslog or the journal"
                )),
                name => self.uncarried(line, name),
            }
        }
        let Some(to) = self.global.get("emailalert").map(str::to_owned) else {
            return;
        };
        self.text.push_str("global_defs {\n    notification_email {\n");
        for address in to.split([',', ' ']).filter(|word| !word.is_empty()) {
            let _ = writeln!(self.text, "        {address}");
        }
        self.text.push_str("    }\n");
        if let Some(from) = self.global.get("emailalertfrom") {
            let _ = writeln!(self.text, "    notification_email_from {from}");
        }
        let server = self.global.get("smtp").unwrap_or("127.0.0.1");
        let _ = writeln!(
            self.text,
            "    smtp_server {server}\n    smtp_alert_checker true\n}}\n"
        );
    }

    fn uncarried(&mut self, line: usize, name: &str) {
        if !CARRIED.contains(&name) {
            self.notes
                .push(format!("line {line}: {name} has no counterpart and is left out"));
        }
    }

    /// The service's own setting, else the global one.
    fn setting(&self, service: &Service, name: &str) -> Option<String> {
        let value = service.settings.get(name).or_else(|| self.global.get(name));
        value.map(str::to_owned)
    }

    fn service(&mut self, service: &Service) {
        for (line, name, value) in service.settings.iter().map(owned).collect::<Vec<_>>() {
            self.uncarried(line, &name);
            if name == "httpmethod" && !value.eq_ignore_ascii_case("get") {
                self.notes
                    .push(format!("line {line}: httpmethod {value}: GET is used"));
            }
        }
        let global = self.global.clone();
        let of = |name: &str| {
            let value = service.settings.get(name).or_else(|| global.get(name));
            value.map(str::to_owned)
        };
        let protocol = of("protocol").unwrap_or_else(|| "tcp".to_owned());
        let Some((address, port)) = self.address(service) else {
            return;
        };
        if let Some(comment) = of("comment").or(of("servicename")) {
            let _ = writeln!(self.text, "# {comment}");
        }
        let method = service.reals.first().map_or("gate", |real| real.method.as_str());
        let _ = writeln!(
            self.text,
            "virtual_server {address} {{",
            address = joined(&address, port)
        );
        let interval = of("checkinterval").unwrap_or_else(|| "10".to_owned());
        self.line(1, &format!("delay_loop {interval}"));
        self.line(
            1,
            &format!("lb_algo {}", of("scheduler").as_deref().unwrap_or("wrr")),
        );
        self.line(1, &format!("lb_kind {}", kind(method)));
        if protocol != "fwm" {
            self.line(1, &format!("protocol {}", protocol.to_uppercase()));
        }
        if let Some(seconds) = of("persistent") {
            self.line(1, &format!("persistence_timeout {seconds}"));
        }
        if let Some(mask) = of("netmask") {
            self.line(1, &format!("persistence_granularity {mask}"));
        }
        if let Some(fallback) = of("fallback") {
            self.fallback(service, &fallback, port, method);
        }
        for real in &service.reals {
            self.real(service, real, port, method, &interval);
        }
        self.text.push_str("}\n\n");
    }

    fn address(&mut self, service: &Service) -> Option<(String, Option<u16>)> {
        if service.address.parse::<u32>().is_ok() {
            return Some((format!("fwmark {}", service.address), None));
        }
        let (host, port) = host_and_port(&service.address);
        if host.parse::<IpAddr>().is_err() {
            self.notes.push(format!(
                "line {}: '{host}' is a name: keepalived wants the address; the service is left out",
                service.line
            ));
            return None;
        }
        Some((host, port))
    }

    fn fallback(&mut self, service: &Service, fallback: &str, port: Option<u16>, method: &str) {
        let mut words = fallback.split_whitespace();
        let (host, own) = host_and_port(words.next().unwrap_or_default());
        if host.parse::<IpAddr>().is_err() {
            self.notes.push(format!(
                "line {}: fallback '{host}' is a name: keepalived wants the address",
                service.line
            ));
            return;
        }
        self.line(1, &format!("sorry_server {}", joined(&host, own.or(port))));
        let own = words.next().unwrap_or(method);
        if kind(own) != kind(method) {
            self.line(1, &format!("sorry_server_lvs_method {}", kind(own)));
        }
    }

    fn real(&mut self, service: &Service, real: &Real, port: Option<u16>, method: &str, interval: &str) {
        let Some(addresses) = addresses(&real.address) else {
            self.notes.push(format!(
                "line {}: '{}' is no address or range: the real server is left out",
                real.line, real.address
            ));
            return;
        };
        let own = addresses.1.or(port);
        for address in addresses.0 {
            self.text.push('\n');
            self.line(1, &format!("real_server {} {{", joined(&address, own)));
            self.line(2, &format!("weight {}", real.weight.unwrap_or(1)));
            if kind(&real.method) != kind(method) {
                self.line(2, &format!("lvs_method {}", kind(&real.method)));
            }
            // ldirectord's own default.
            if self.setting(service, "quiescent").as_deref() == Some("yes") {
                self.line(2, "inhibit_on_failure");
            }
            self.checker(service, real, &address, own, interval);
            self.line(1, "}");
        }
    }

    fn checker(&mut self, service: &Service, real: &Real, address: &str, port: Option<u16>, interval: &str) {
        let global = self.global.clone();
        let of = |name: &str| {
            let value = service.settings.get(name).or_else(|| global.get(name));
            value.map(str::to_owned)
        };
        let guessed = guess(service, port);
        let protocol = of("service").unwrap_or(guessed);
        let kind = of("checktype").unwrap_or_else(|| "negotiate".to_owned());
        let line = service.line;
        let block = match (kind.as_str(), protocol.as_str()) {
            ("on", _) => return,
            ("off", _) => {
                self.notes.push(format!(
                    "line {line}: checktype off keeps the servers out; here they are in, without a check"
                ));
                return;
            }
            ("ping", _) => "PING_CHECK",
            ("connect", _) => "TCP_CHECK",
            ("external" | "external-perl", _) => return self.external(service, address, port, interval),
            (_, "http") => "HTTP_GET",
            (_, "https") => "SSL_GET",
            (_, "smtp" | "submission") => "SMTP_CHECK",
            (_, "dns") => "DNS_CHECK",
            (_, "none") => "TCP_CHECK",
            (_, other) => {
                let note = format!(
                    "line {line}: there is no check that speaks {other}: TCP_CHECK only connects (MISC_CHECK \
                     runs a script that can do more)"
                );
                if !self.notes.contains(&note) {
                    self.notes.push(note);
                }
                "TCP_CHECK"
            }
        };
        if kind.parse::<u32>().is_ok() {
            let note = format!("line {line}: checktype {kind}: each check asks, none only connects");
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        self.line(2, &format!("{block} {{"));
        match block {
            "HTTP_GET" | "SSL_GET" => self.url(service, real),
            "DNS_CHECK" => {
                if let Some(name) = real.request.clone().or(self.setting(service, "request")) {
                    self.line(3, "type A");
                    self.line(3, &format!("name {name}"));
                }
                if self.setting(service, "receive").is_some() || real.receive.is_some() {
                    self.notes.push(format!(
                        "line {line}: receive: any answer without an error is good"
                    ));
                }
            }
            _ => {}
        }
        if let Some(check) = self
            .setting(service, "checkport")
            .and_then(|port| port.parse::<u16>().ok())
            && block != "PING_CHECK"
            && Some(check) != port
        {
            self.line(3, &format!("connect_port {check}"));
        }
        self.patience(service, interval);
        self.line(2, "}");
    }

    fn url(&mut self, service: &Service, real: &Real) {
        let global = self.global.clone();
        let of = |name: &str| {
            let value = service.settings.get(name).or_else(|| global.get(name));
            value.map(str::to_owned)
        };
        let request = real.request.clone().or(of("request")).unwrap_or_default();
        let receive = real.receive.clone().or(of("receive"));
        let path = match request.split_once("://") {
            Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
            None => request.strip_prefix('/').unwrap_or(&request),
        };
        if let Some(host) = of("virtualhost") {
            self.line(3, &format!("virtualhost {host}"));
        }
        self.line(3, "url {");
        self.line(4, &format!("path {}", word(&format!("/{path}"))));
        self.line(4, "status_code 200");
        if let Some(receive) = receive.filter(|receive| !receive.is_empty()) {
            self.line(4, &format!("regex {}", quoted(&receive)));
        }
        self.line(3, "}");
    }

    fn external(&mut self, service: &Service, address: &str, port: Option<u16>, interval: &str) {
        let Some(command) = self.setting(service, "checkcommand") else {
            self.notes.push(format!(
                "line {}: checktype external without a checkcommand",
                service.line
            ));
            return;
        };
        let (host, own) = host_and_port(&service.address);
        let port = port.map_or("0".to_owned(), |port| port.to_string());
        let own = own.map_or("0".to_owned(), |port| port.to_string());
        self.line(2, "MISC_CHECK {");
        let line = format!(
            "misc_path {}",
            quoted(&format!("{command} {host} {own} {address} {port}"))
        );
        self.line(3, &line);
        if let Some(seconds) = self.setting(service, "checktimeout") {
            self.line(3, &format!("misc_timeout {seconds}"));
        }
        self.retries(service, interval);
        self.line(2, "}");
    }

    fn patience(&mut self, service: &Service, interval: &str) {
        let timeout = self
            .setting(service, "negotiatetimeout")
            .or(self.setting(service, "checktimeout"));
        let timeout = timeout.unwrap_or_else(|| "5".to_owned());
        self.line(3, &format!("connect_timeout {timeout}"));
        self.retries(service, interval);
    }

    fn retries(&mut self, service: &Service, interval: &str) {
        let failures = self
            .setting(service, "failurecount")
            .and_then(|n| n.parse::<u32>().ok());
        match failures {
            Some(failures) => {
                self.line(3, &format!("retry {}", failures.saturating_sub(1)));
                self.line(3, &format!("delay_before_retry {interval}"));
            }
            None => {
                self.line(3, "retry 1");
                self.line(3, "delay_before_retry 1");
                let note = "no failurecount: in ldirectord one failure counts; here a second try a second later \
                            must fail too (retry 0 for the first)";
                if !self.notes.iter().any(|known| known == note) {
                    self.notes.push(note.to_owned());
                }
            }
        }
    }

    fn line(&mut self, depth: usize, text: &str) {
        let _ = writeln!(self.text, "{}{text}", "    ".repeat(depth));
    }
}

fn owned((line, name, value): (usize, &str, &str)) -> (usize, String, String) {
    (line, name.to_owned(), value.to_owned())
}

/// `lb_kind` of a forwarding method.
fn kind(method: &str) -> &'static str {
    match method {
        "masq" => "NAT",
        "ipip" => "TUN",
        _ => "DR",
    }
}

/// The service that ldirectord assumes for a port.
fn guess(service: &Service, port: Option<u16>) -> String {
    let udp = service.settings.get("protocol") == Some("udp");
    let name = match port {
        Some(80 | 8080) => "http",
        Some(443) => "https",
        Some(25 | 587) => "smtp",
        Some(53) if udp => "dns",
        _ => "none",
    };
    name.to_owned()
}

/// Address and port of `ADDRESS:PORT`, `[IPV6]:PORT`, `ADDRESS`.
fn host_and_port(text: &str) -> (String, Option<u16>) {
    if let Some((host, port)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host.to_owned(), port.strip_prefix(':').and_then(port_number));
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host.to_owned(), port_number(port)),
        _ => (text.to_owned(), None),
    }
}

fn port_number(text: &str) -> Option<u16> {
    const NAMES: [(&str, u16); 12] = [
        ("domain", 53),
        ("ftp", 21),
        ("http", 80),
        ("https", 443),
        ("imap", 143),
        ("imaps", 993),
        ("ldap", 389),
        ("ldaps", 636),
        ("mysql", 3306),
        ("pop3", 110),
        ("smtp", 25),
        ("submission", 587),
    ];
    let named = NAMES.iter().find(|(name, _)| *name == text);
    named.map(|(_, port)| *port).or_else(|| text.parse().ok())
}

/// The addresses of `ADDRESS[->ADDRESS][:PORT]`, at most 256.
fn addresses(text: &str) -> Option<(Vec<String>, Option<u16>)> {
    let Some((first, rest)) = text.split_once("->") else {
        let (host, port) = host_and_port(text);
        host.parse::<IpAddr>().ok()?;
        return Some((vec![host], port));
    };
    let (last, port) = host_and_port(rest);
    let (first, last): (std::net::Ipv4Addr, std::net::Ipv4Addr) = (first.parse().ok()?, last.parse().ok()?);
    let range = u32::from(first)..=u32::from(last);
    if range.is_empty() || range.end() - range.start() > 255 {
        return None;
    }
    let all = range.map(|n| std::net::Ipv4Addr::from(n).to_string()).collect();
    Some((all, port))
}

fn joined(address: &str, port: Option<u16>) -> String {
    match port {
        Some(port) => format!("{address} {port}"),
        None => address.to_owned(),
    }
}

/// As it is, or quoted where the language needs it.
fn word(text: &str) -> String {
    if text.contains([' ', '\t', '"', '#', '!', '{', '}', '\\']) {
        quoted(text)
    } else {
        text.to_owned()
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
