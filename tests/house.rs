//! The structure of the house: a room uses rooms on lower floors only, the core does no I/O, `unsafe` stays in
//! its two rooms, and the top level holds what it should.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const FLOORS: [(&str, u8); 17] = [
    ("model", 1),
    ("state", 1),
    ("wire", 1),
    ("config", 2),
    ("vrrp", 2),
    ("bfd", 2),
    ("lvs", 2),
    ("report", 2),
    ("sys", 2),
    ("process", 2),
    ("net", 3),
    ("track", 3),
    ("notify", 3),
    ("checkers", 3),
    ("serve", 3),
    ("daemon", 4),
    ("tools", 4),
];

const PURE: [&str; 8] = ["model", "state", "wire", "config", "vrrp", "bfd", "lvs", "report"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(directory: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a folder of the source tree") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// Every source file of a room, with its text before the tests.
fn rooms() -> Vec<(String, PathBuf, String)> {
    let source = root().join("src");
    let mut files = Vec::new();
    sources(&source, &mut files);
    files
        .into_iter()
        .filter_map(|path| {
            let room = path.strip_prefix(&source).ok()?.components().next()?;
            let room = room.as_os_str().to_str()?.trim_end_matches(".rs").to_owned();
            let text = std::fs::read_to_string(&path).expect("source text");
            let text = text
                .split("#[cfg(test)]\nmod ")
                .next()
                .unwrap_or_default()
                .to_owned();
            Some((room, path, text))
        })
        .collect()
}

#[test]
fn a_room_uses_lower_floors_only() {
    let floors: BTreeMap<_, _> = FLOORS.into_iter().collect();
    let mut wrong = Vec::new();
    let mut edges: BTreeMap<(String, String), PathBuf> = BTreeMap::new();
    for (room, path, text) in rooms() {
        let Some(&floor) = floors.get(room.as_str()) else {
            continue;
        };
        for used in text.split("crate::").skip(1) {
            let used: String = used
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let Some(&below) = floors.get(used.as_str()) else {
                continue;
            };
            if used == room {
                continue;
            }
            edges.insert((room.clone(), used.clone()), path.clone());
            if below > floor {
                wrong.push(format!("{}: uses {used}, which is above {room}", path.display()));
            }
        }
    }
    for ((from, to), path) in &edges {
        if from < to && edges.contains_key(&(to.clone(), from.clone())) {
            wrong.push(format!("{}: {from} and {to} use each other", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_core_does_no_io_and_reads_no_clock() {
    let forbidden = [
        "tokio::",
        "std::fs::",
        "std::net::Tcp",
        "std::net::Udp",
        "SystemTime::now",
        "Instant::now",
        "std::process::",
    ];
    let mut wrong = Vec::new();
    for (room, path, text) in rooms() {
        if !PURE.contains(&room.as_str()) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for word in forbidden {
                if code.contains(word) {
                    wrong.push(format!("{}:{}: {word}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_stays_in_sys_and_process() {
    let wrong: Vec<String> = rooms()
        .into_iter()
        .filter(|(room, _, _)| room != "sys" && room != "process")
        .flat_map(|(_, path, text)| {
            text.lines()
                .enumerate()
                .filter(|(_, line)| {
                    let code = line.split("//").next().unwrap_or_default();
                    code.contains("unsafe {") || code.contains("unsafe fn") || code.contains("unsafe impl")
                })
                .map(|(number, _)| format!("{}:{}", path.display(), number + 1))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "unsafe outside its rooms:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_top_level_holds_what_it_should() {
    let allowed = [
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "LICENSE",
        "src",
        "tests",
        "examples",
        "packaging",
        "docs",
        "target",
    ];
    let strangers: Vec<String> = std::fs::read_dir(root())
        .expect("the top of the tree")
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.') && !allowed.contains(&name.as_str()))
        .collect();
    assert!(
        strangers.is_empty(),
        "not expected at the top: {}",
        strangers.join(", ")
    );
}
