//! The documentation says what the program does: the keyword table of docs/compatibility.md is made from the
//! program's own table, and the links between pages lead somewhere.
//!
//! `UPDATE_DOCS=1 cargo test --test docs` writes the table and keepalived-rs.conf(5) anew.

use keepalived_rs::config::keyword::Table;
use std::fmt::Write;
use std::path::{Path, PathBuf};

const MARK: &str = "<!-- keywords: made from the keyword table by tests/docs.rs -->\n";

/// Keywords whose effect differs from keepalived's, on purpose; the page says how.
const BETTER: &[(&str, &str)] = &[
    ("global_defs", "enable_script_security"),
    ("global_defs", "reload_check_config"),
    ("global_defs", "vrrp_lower_prio_no_advert"),
    ("(root)", "namespace_with_ipsets"),
    ("global_defs", "vrrp_iptables"),
    ("global_defs", "vrrp_ipsets"),
    ("vrrp_instance", "lower_prio_no_advert"),
    ("vrrp_instance", "virtual_ipaddress"),
    ("vrrp_instance", "virtual_ipaddress_excluded"),
    ("vrrp_instance", "virtual_routes"),
    ("vrrp_instance", "virtual_rules"),
    ("(root)", "static_routes"),
    ("(root)", "static_rules"),
    ("vrrp_instance", "notify"),
    ("vrrp_instance", "notify_backup"),
    ("vrrp_instance", "notify_master"),
    ("vrrp_instance", "notify_fault"),
    ("vrrp_instance", "notify_stop"),
    ("virtual_server/real_server", "HTTP_GET"),
    ("virtual_server/real_server", "SSL_GET"),
    ("virtual_server/real_server/HTTP_GET/url", "regex_stack"),
    ("virtual_server/real_server/SSL_GET/url", "regex_stack"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn table() -> String {
    let mut out = String::new();
    let mut block = "";
    for row in Table::get().rows() {
        if row.block != block {
            block = row.block;
            let title = if block == "(root)" {
                "At the top of the file".to_owned()
            } else {
                format!("In `{block}`")
            };
            let _ = write!(
                out,
                "\n### {title}\n\n| keyword | arguments | default | |\n| --- | --- | --- | --- |\n"
            );
        }
        let status = if row.notes.starts_with("not in keepalived") {
            "ours"
        } else if !row.effective {
            "not yet"
        } else if BETTER.contains(&(row.block, row.name)) {
            "better"
        } else {
            "same"
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {status} |",
            code(row.name),
            code(row.arguments),
            row.default.replace('|', "\\|")
        );
    }
    out
}

fn code(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("`{}`", text.replace('|', "\\|"))
    }
}

#[test]
fn the_compatibility_page_has_every_keyword() {
    let path = root().join("docs/compatibility.md");
    let text = std::fs::read_to_string(&path).expect("docs/compatibility.md");
    let (head, found) = text.split_once(MARK).expect("the mark above the table");
    let expected = table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{head}{MARK}{expected}")).expect("docs/compatibility.md is written");
        return;
    }
    let difference = expected.lines().zip(found.lines()).find(|(a, b)| a != b);
    assert!(
        expected == found,
        "docs/compatibility.md is not what the keyword table says: UPDATE_DOCS=1 cargo test --test docs\n{difference:?}"
    );
}

#[test]
fn the_completions_have_every_command() {
    use clap_complete::{Shell, generate};
    for (shell, name) in [
        (Shell::Bash, "keepalived-rs.bash"),
        (Shell::Zsh, "_keepalived-rs"),
        (Shell::Fish, "keepalived-rs.fish"),
    ] {
        let mut expected = Vec::new();
        generate(
            shell,
            &mut keepalived_rs::cli::commands(),
            "keepalived-rs",
            &mut expected,
        );
        let path = root().join("packaging/completions").join(name);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, expected).expect("the completion is written");
            continue;
        }
        let found = std::fs::read(&path).unwrap_or_default();
        assert!(
            expected == found,
            "packaging/completions/{name} is not what the command line is: UPDATE_DOCS=1 cargo test --test docs"
        );
    }
}

#[test]
fn bash_completes_commands_and_their_options() {
    let complete = |words: &[&str]| {
        let script = "source packaging/completions/keepalived-rs.bash; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1))
            _keepalived-rs keepalived-rs \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"; echo \"${COMPREPLY[@]}\"";
        let output = std::process::Command::new("bash")
            .args(["-c", script, "bash", "keepalived-rs"])
            .args(words)
            .current_dir(root())
            .output()
            .expect("bash");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    assert_eq!(complete(&["st"]), "status");
    assert_eq!(complete(&["wa"]), "watch");
    assert_eq!(complete(&["status", "--j"]), "--json");
}

#[test]
fn the_manual_has_every_keyword() {
    let path = root().join("docs/man/keepalived-rs.conf.5");
    let expected = keepalived_rs::tools::explain::manual();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, expected).expect("docs/man/keepalived-rs.conf.5 is written");
        return;
    }
    let found = std::fs::read_to_string(&path).expect("docs/man/keepalived-rs.conf.5");
    assert!(
        expected == found,
        "docs/man/keepalived-rs.conf.5 is not what the keyword table says: UPDATE_DOCS=1 cargo test --test docs"
    );
    for row in Table::get().rows() {
        let name = row
            .name
            .replace('\\', "\\e")
            .replace('-', "\\-")
            .replace('"', "\\(dq");
        assert!(
            found.contains(&format!(".TP\n\\fB{name}\\fR ")),
            "{} {}",
            row.block,
            row.name
        );
    }
}

#[test]
fn every_better_keyword_exists() {
    for (block, name) in BETTER {
        assert!(
            Table::get()
                .rows()
                .iter()
                .any(|r| r.block == *block && r.name == *name),
            "{block} {name}"
        );
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut pages = vec![root().join("README.md")];
    for entry in std::fs::read_dir(root().join("docs")).expect("docs") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "md") {
            pages.push(path);
        }
    }
    let mut broken = Vec::new();
    for page in pages {
        let text = std::fs::read_to_string(&page).expect("a page");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let directory = page.parent().unwrap_or(Path::new("."));
            if !directory.join(target).exists() {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
