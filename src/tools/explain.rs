//! `keepalived-rs explain KEYWORD`, and keepalived-rs.conf(5): what the keyword table says, for people.

use crate::config::keyword::{Keyword, Kind, Table};
use std::fmt::Write;

/// `explain KEYWORD...`: prints what the table says of each; status 1 when one of them is unknown. A keyword may
/// be named with its block: `virtual_server/real_server/weight`.
pub fn run(words: &[String]) -> i32 {
    let mut status = 0;
    for (turn, word) in words.iter().enumerate() {
        match text(word) {
            Ok(text) => {
                if turn > 0 {
                    println!();
                }
                print!("{text}");
            }
            Err(text) => {
                eprint!("{text}");
                status = 1;
            }
        }
    }
    status
}

/// All that is known of a keyword; else what else might have been meant.
fn text(word: &str) -> Result<String, String> {
    let rows = |block: Option<&str>, name: &str| -> Vec<&'static Keyword> {
        let all = Table::get().rows().iter();
        all.filter(|row| row.name == name && block.is_none_or(|block| row.block == block))
            .collect()
    };
    // A slash may also be part of the name.
    let (mut name, mut found) = (word, rows(None, word));
    if let Some((block, last)) = word.rsplit_once('/').filter(|_| found.is_empty()) {
        (name, found) = (last, rows(Some(block), last));
    }
    let rows = found;
    if rows.is_empty() {
        return Err(unknown(word, name));
    }
    let mut text = format!("{name}\n");
    for row in rows {
        text.push_str(&one(row));
    }
    Ok(text)
}

fn unknown(word: &str, name: &str) -> String {
    let mut text = format!("There is no keyword `{word}`.\n");
    if let Some(row) = Table::get().nearest_anywhere(name) {
        let _ = writeln!(text, "Is {} meant ({})?", row.name, place(row));
    }
    text
}

fn one(row: &Keyword) -> String {
    let mut text = format!("\n  where:     {}\n", place(row));
    let mut line = |title: &str, value: &str| {
        if !value.is_empty() {
            let title = format!("{title}:");
            let _ = writeln!(text, "  {title:<10} {value}");
        }
    };
    line("arguments", row.arguments);
    line("default", row.default);
    line("meaning", &meaning(row));
    if !row.effective {
        line(
            "effect",
            "none yet in this version: it is read, checked and shown",
        );
    }
    text
}

fn place(row: &Keyword) -> String {
    let inside = match row.block.strip_suffix("/<line>") {
        Some(block) => format!("in the lines of {block}"),
        None if row.block == "(root)" => "at the top of the file".to_owned(),
        None => format!("in {}", row.block),
    };
    match row.kind {
        Kind::Word if !row.block.ends_with("<line>") => format!("a word of a line {inside}"),
        _ => inside,
    }
}

fn meaning(row: &Keyword) -> String {
    let what = match row.kind {
        Kind::Block => "opens a block of keywords",
        Kind::Lines => "opens a block of lines",
        Kind::Words => "opens a block of words",
        Kind::Value | Kind::Word => "",
    };
    match (what, row.notes) {
        ("", notes) => notes.to_owned(),
        (what, "") => what.to_owned(),
        (what, notes) => format!("{notes}; {what}"),
    }
}

/// keepalived-rs.conf(5), in man's language.
pub fn manual() -> String {
    let mut page = String::from(
        ".\\\" Made from the keyword table by tests/docs.rs: UPDATE_DOCS=1 cargo test --test docs\n\
         .TH KEEPALIVED-RS.CONF 5 \"\" \"keepalived-rs\" \"File Formats Manual\"\n\
         .SH NAME\n\
         keepalived-rs.conf \\- configuration of keepalived-rs, the language of keepalived.conf\n\
         .SH DESCRIPTION\n\
         .B keepalived-rs\n\
         reads /etc/keepalived/keepalived.conf, in the language of keepalived 2.4.3: one keyword a line, with its arguments;\n\
         blocks in braces; comments after # and !. Beside it, /etc/keepalived/keepalived\\-rs.conf is read if it is there: lines\n\
         with the keywords that keepalived does not have (rs_...), without a block.\n\
         .PP\n\
         .B keepalived\\-rs explain\n\
         .I KEYWORD\n\
         prints the same as this page for one keyword;\n\
         .B keepalived\\-rs check\n\
         .I FILE\n\
         explains what is wrong in a file.\n",
    );
    let mut block = "";
    for row in Table::get().rows() {
        if row.block != block {
            block = row.block;
            let title = match block {
                "(root)" => "AT THE TOP OF THE FILE".to_owned(),
                block => escaped(block),
            };
            let _ = writeln!(page, ".SH \"{title}\"");
        }
        let _ = write!(
            page,
            ".TP\n\\fB{}\\fR {}\n",
            escaped(row.name),
            escaped(row.arguments)
        );
        let mut said = false;
        let mut sentence = |text: String| {
            // A dot or a quote at the start of a line would be a command.
            let _ = writeln!(page, "\\&{}", escaped(&text));
            said = true;
        };
        let meaning = meaning(row);
        if !meaning.is_empty() {
            sentence(format!("{meaning}."));
        }
        if !row.default.is_empty() {
            sentence(format!("Default: {}.", row.default));
        }
        if !row.effective {
            sentence("Without effect in this version.".to_owned());
        }
        if !said {
            page.push_str("\\&\n");
        }
    }
    page.push_str(
        ".SH SEE ALSO\n.BR keepalived\\-rs (8)\n.PP\ndocs/compatibility.md says where the effect of a keyword differs from keepalived's.\n",
    );
    page
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('"', "\\(dq")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyword_is_explained_where_it_stands() {
        for row in Table::get().rows() {
            let text = text(row.name).unwrap_or_else(|text| panic!("{}: {text}", row.name));
            assert!(text.starts_with(&format!("{}\n", row.name)), "{text}");
            for part in [&place(row), row.arguments, row.default, row.notes] {
                assert!(text.contains(part), "{}: {part}: {text}", row.name);
            }
        }
    }

    #[test]
    fn with_its_block_only_that_one() {
        let all = text("weight").expect("a keyword");
        assert!(all.matches("where:").count() > 1, "{all}");
        let one = text("virtual_server/real_server/weight").expect("a keyword");
        assert_eq!(one.matches("where:").count(), 1, "{one}");
        assert!(one.contains("in virtual_server/real_server\n"), "{one}");
    }

    #[test]
    fn a_near_miss_names_the_nearest() {
        let said = text("virtual_ipadress").expect_err("misspelt");
        assert!(
            said.contains("Is virtual_ipaddress meant (in vrrp_instance)?"),
            "{said}"
        );
        let said = text("nothing_like_that_at_all").expect_err("unknown");
        assert_eq!(said, "There is no keyword `nothing_like_that_at_all`.\n");
    }
}
