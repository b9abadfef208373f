//! `convert`: ldirectord's configuration in keepalived's language, and what could not be carried over.

mod ldirectord;
mod write;

use std::path::Path;

/// A configuration in keepalived's language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// The file.
    pub text: String,
    /// What is not in it, with line numbers of the original where there is one.
    pub notes: Vec<String>,
}

/// Converts the text of an ldirectord.cf.
pub fn ldirectord(text: &str) -> Converted {
    let file = ldirectord::read(text);
    write::write(file)
}

/// Converts a file: the result to stdout, the notes to stderr. The exit status.
pub fn run(file: &Path) -> i32 {
    match std::fs::read_to_string(file) {
        Ok(text) => {
            let converted = ldirectord(&text);
            print!("{}", converted.text);
            for note in &converted.notes {
                eprintln!("{}: {note}", file.display());
            }
            0
        }
        Err(error) => {
            eprintln!("Unable to read {}: {error}", file.display());
            1
        }
    }
}
