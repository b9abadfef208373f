//! `--config-test`, and `keepalived-rs check`.
//!
//! `--config-test` prints keepalived's lines, each as often as keepalived says it, and gives its exit status.
//! [`explain`] shows every cause once, with the text it is about, what is expected and how to mend it.

use crate::config::secret::masked;
use crate::config::{Class, Diagnostic, Host, ReadOptions, Reading, read};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// `--config-test[=FILE]`: reads and complains; exit status as keepalived's (0, 2, 4, 5, 6; 1 when the
/// file for the complaints cannot be opened).
pub fn run(host: &dyn Host, options: &ReadOptions, output: Option<&Path>) -> i32 {
    let reading = read(
        host,
        &ReadOptions {
            test: true,
            ..options.clone()
        },
    );
    let mut text = String::new();
    for (_, line) in reading.log_lines() {
        text.push_str(&line);
        text.push('\n');
    }
    let written = match output {
        None => io::stderr().lock().write_all(text.as_bytes()),
        Some(path) => OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o644)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes())),
    };
    match written {
        Ok(()) => reading.test_status,
        Err(error) => {
            let name = output.map_or("stderr".into(), Path::to_string_lossy);
            let reason = crate::config::source::reason(&error);
            eprintln!("Unable to write config test results to {name} - {reason}");
            1
        }
    }
}

/// `check FILE...`: the causes, each once, then a summary; with `quiet`, keepalived's lines only. Exit
/// status as `--config-test`, the largest of all files.
pub fn files(host: &dyn Host, files: &[PathBuf], config_id: Option<String>, quiet: bool) -> i32 {
    let mut worst = 0;
    for file in files {
        let options = ReadOptions {
            file: file.to_string_lossy().into_owned(),
            config_id: config_id.clone(),
            test: true,
            ..ReadOptions::default()
        };
        let reading = read(host, &options);
        let text = if quiet {
            reading.log_lines().map(|(_, line)| line + "\n").collect()
        } else {
            explain(&reading, io::stdout().is_terminal())
        };
        // Nobody reads any more: nothing to be done.
        let _ = io::stdout().lock().write_all(text.as_bytes());
        worst = worst.max(reading.test_status);
    }
    worst
}

/// What is wrong with a configuration, each cause once, with the text marked.
pub fn explain(reading: &Reading, colour: bool) -> String {
    let renderer = if colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut seen = BTreeSet::new();
    let mut out = String::new();
    let mut count = 0;
    for diagnostic in &reading.diagnostics {
        let key = (diagnostic.span, diagnostic.text.clone());
        if !seen.insert(key) {
            continue;
        }
        count += usize::from(diagnostic.class != Class::Ok);
        out.push_str(&render(diagnostic, reading, &renderer));
        out.push('\n');
    }
    for later in reading.not_yet() {
        let title = Level::NOTE.primary_title(later);
        out.push_str(&renderer.render(&[Group::with_title(title)]));
        out.push('\n');
    }
    let name = reading.files.first().map_or("", |f| f.name.as_str());
    let verdict = match (count, reading.start) {
        (0, crate::config::Start::Go) => format!("{name}: nothing to complain of\n"),
        (n, crate::config::Start::Go) => {
            format!("{name}: it starts; {n} complaint{}\n", plural(n))
        }
        (n, crate::config::Start::Exit(status)) => {
            format!(
                "{name}: it does not start (exit status {status}); {n} complaint{}\n",
                plural(n)
            )
        }
    };
    out.push_str(&verdict);
    out
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

fn render(diagnostic: &Diagnostic, reading: &Reading, renderer: &Renderer) -> String {
    let level = match diagnostic.class {
        Class::Ok => Level::INFO,
        Class::Warning | Class::Deprecated => Level::WARNING,
        _ => Level::ERROR,
    };
    let text = diagnostic.text.trim().to_owned();
    let source_line;
    let title = level.primary_title(text);
    let mut group = match place(diagnostic, reading) {
        Some((file, first, source, range)) => title.element({
            source_line = masked(source);
            Snippet::source(source_line.as_ref())
                .line_start(first)
                .path(file)
                .annotation(AnnotationKind::Primary.span(range))
        }),
        None => Group::with_title(title),
    };
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.clone()));
    }
    renderer.render(&[group])
}

/// File, line number, text of the line, and what to mark in it.
fn place<'r>(
    diagnostic: &Diagnostic,
    reading: &'r Reading,
) -> Option<(&'r str, usize, &'r str, std::ops::Range<usize>)> {
    let span = diagnostic.span?;
    let file = reading.files.get(span.file as usize)?;
    let number = span.line as usize;
    let text = file.text.lines().nth(number.checked_sub(1)?)?;
    let from = (span.column.max(1) as usize - 1).min(text.len());
    let to = (from + span.length.max(1) as usize).min(text.len());
    let range = if text.is_char_boundary(from) && text.is_char_boundary(to) {
        from..to
    } else {
        0..text.len()
    };
    Some((file.name.as_str(), number, text, range))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MemoryHost;

    fn explained(text: &str) -> String {
        let mut host = MemoryHost::default();
        host.file("/k.conf", text).interface("eth0");
        let options = ReadOptions {
            file: "/k.conf".to_owned(),
            ..ReadOptions::default()
        };
        explain(&read(&host, &options), false)
    }

    #[test]
    fn a_misspelt_keyword_is_marked_and_corrected() {
        let text = explained(
            "vrrp_instance A {\n  interface eth0\n  virtual_router_id 1\n  prioriti 100\n  virtual_ipaddress { 10.0.0.1 }\n}\n",
        );
        assert!(text.contains("Unknown keyword 'prioriti'"), "{text}");
        assert!(text.contains("/k.conf:4:3"), "{text}");
        assert!(text.contains("^^^^^^^^"), "{text}");
        assert!(text.contains("did you mean `priority`?"), "{text}");
    }

    #[test]
    fn each_cause_is_told_once() {
        let text = explained("bogus\n");
        assert_eq!(text.matches("Unknown keyword 'bogus'").count(), 1, "{text}");
        assert!(text.ends_with("/k.conf: it starts; 1 complaint\n"), "{text}");
    }
}
