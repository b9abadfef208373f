//! keepalived-config and keepalived-api, from PyPI: parsers and writers of keepalived.conf that others have made.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use keepalived_rs::config::{self, MemoryHost, ReadOptions};
use keepalived_rs::model::Configuration;
use serde_json::Value;

use crate::common::daemon::{Start, needs_keepalived};
use crate::common::{Host, Lab, PYTHON, Which, python_package, tool};

/// Those of all files that are copied.
const INTERFACES: [&str; 4] = ["eth0", "eth1", "eth2", "ens160"];

/// Reads each file, saves it under its number, and says what it found or why it could not.
const COPY: &str = r#"
import json, sys
package, into, *files = sys.argv[1:]
sys.path.insert(0, package)
from keepalived_config.keepalived_config_parser import KeepAlivedConfigParser
seen = []
for number, file in enumerate(files):
    try:
        config = KeepAlivedConfigParser().parse_file(file)
    except ValueError as error:
        seen.append({"refused": str(error)})
        continue
    config.save(f"{into}/{number}.conf")
    blocks = [block.name.split() for block in config.params if hasattr(block, "params")]
    seen.append({"instances": [words[1] for words in blocks if words[0] == "vrrp_instance"]})
print(json.dumps(seen))
"#;

/// Every configuration of the examples, the lab's and the guest's scenarios, the recorded cases and the generators: the
/// copy has the same model, and `-t` says the same of it, keepalived's too.
pub fn copies_of_an_independent_parser_mean_the_same() {
    needs_keepalived();
    let packages = ["keepalived-config", "keepalived-api"].map(python_package);
    let mut files = Vec::new();
    for folder in [
        "examples/conf",
        "tests/lab/scenarios",
        "tests/vm/scenarios",
        "tests/golden/cases",
        "tests/config/generators",
    ] {
        configurations(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    }
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let lab = Lab::new();
    let host = lab.host("one");
    for name in INTERFACES {
        lab.cable(&host, name, &[]);
    }
    let mut copies: HashSet<(usize, String)> = HashSet::new();
    for package in packages {
        let into = host.dir.join("copies").display().to_string();
        fs::create_dir_all(&into).expect("own folder");
        let mut words = vec!["-c", COPY, &package, &into];
        words.extend(names.iter().map(String::as_str));
        let seen: Vec<Value> = serde_json::from_str(&tool(PYTHON, &words)).expect("its report");
        let mut copied = 0;
        for (number, (seen, file)) in seen.iter().zip(&files).enumerate() {
            let original = fs::read_to_string(file).expect("a configuration");
            if let Some(why) = seen["refused"].as_str() {
                // It knows no line of several words that begins with a number.
                assert!(why.starts_with("Unexpected line format"), "{why}");
                continue;
            }
            copied += 1;
            let copy = fs::read_to_string(format!("{into}/{number}.conf")).expect("the copy");
            assert_ne!(copy, original, "{}: not written anew", file.display());
            // The second package writes most of them as the first does.
            if !copies.insert((number, copy.clone())) {
                continue;
            }
            let (model, of_copy) = (model(&original), model(&copy));
            assert_eq!(model, of_copy, "{}\n{copy}", file.display());
            let instances: Vec<&str> = model.instances.iter().map(|one| one.name.as_str()).collect();
            assert_eq!(
                seen["instances"],
                serde_json::json!(instances),
                "{}",
                file.display()
            );
            for which in [Which::Tested, Which::Keepalived] {
                let of = |text| tested(&host, which, text);
                assert_eq!(of(&original), of(&copy), "{which:?}: {}", file.display());
            }
        }
        assert!(copied >= 40, "{copied} of {}", files.len());
    }
}

/// An instance, a virtual server and its real server, made with keepalived-api's calls.
const WRITE: &str = r#"
import sys
sys.path.insert(0, sys.argv[1])
from keepalived_config import *
manager = KeepAlivedConfigManager()
manager.vrrp.create_vrrp_instance(
    instance_name="VI_1", virtual_ipaddresses=["192.0.2.100/24"],
    config=VRRPConfig(state="MASTER", interface="eth0", virtual_router_id=51, priority=100, unicast_src_ip="192.0.2.1",
                      unicast_peer=["192.0.2.2"], smtp_alert=True, notify_master="/bin/true"))
manager.virtual_server.create_virtual_server(
    virtual_server_ip="192.0.2.100", virtual_server_port=80,
    config=VirtualServerConfig(delay_loop=10, lb_algo="wrr", lb_kind="DR", protocol="TCP", ha_suspend=True, alpha=True,
                               omega=True, quorum=2, quorum_up="/bin/true", hysteresis=1, retry=5))
manager.virtual_server.add_real_server("192.0.2.100", 80, "192.0.2.11", 80, weight=3)
manager.save_config(sys.argv[2])
"#;

pub fn what_a_library_writes_is_read_as_keepalived_reads_it() {
    needs_keepalived();
    let package = python_package("keepalived-api");
    let lab = Lab::new();
    let host = lab.host("one");
    lab.cable(&host, "eth0", &[]);
    let file = host.dir.join("written.conf");
    tool(PYTHON, &["-c", WRITE, &package, &file.display().to_string()]);
    let text = fs::read_to_string(file).expect("what it wrote");
    let ours = tested(&host, Which::Tested, &text);
    assert_eq!(ours, tested(&host, Which::Keepalived, &text), "{text}");
    let model = model(&text);
    let instance = &model.instances[0];
    assert_eq!((instance.name.as_str(), instance.vrid), ("VI_1", 51));
    let server = &model.lvs.servers[0];
    assert_eq!((server.real_servers.len(), server.real_servers[0].weight), (1, 3));
}

fn configurations(folder: &Path, into: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a folder of the project")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            configurations(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "conf") {
            into.push(path);
        }
    }
}

/// Status and lines of `-t`.
fn tested(host: &Host, which: Which, text: &str) -> (Option<i32>, String) {
    host.write("parsed.conf", &text.replace("net_namespace amphora-haproxy", ""));
    let words = ["-t", "-f", "/etc/keepalived/parsed.conf"];
    Start::new(host, which).only_args(&words).output()
}

fn model(text: &str) -> Configuration {
    const FILE: &str = "/etc/keepalived/keepalived.conf";
    let mut host = MemoryHost::default();
    for name in INTERFACES {
        host.interface(name);
    }
    host.file(FILE, text);
    let options = ReadOptions {
        file: FILE.to_owned(),
        ..ReadOptions::default()
    };
    config::read(&host, &options).into_configuration()
}
