//! Lines that hold a password or a key are not repeated in complaints: each byte of the secret becomes a star.

use super::keyword::distance;
use super::line::Line;
use std::borrow::Cow;

/// What stands in a message for a secret.
pub const MASK: &str = "********";

/// A keyword that a secret follows, or what is probably meant to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    /// `auth_pass`, `password`: all that follows.
    Password,
    /// `key`: the text after its number; where there is no number, everything.
    Key,
}

impl Holder {
    fn of(word: &str) -> Option<Holder> {
        let near = |name: &str, limit: usize| distance(word, name, limit) <= limit;
        if near("auth_pass", 2) || near("password", 2) || word.starts_with("auth_pa") {
            Some(Holder::Password)
        } else if word.starts_with(['k', 'K']) && near("key", 1) {
            Some(Holder::Key)
        } else {
            None
        }
    }

    /// Whether the word this far behind the keyword is secret: all of it, or a part at its end.
    fn hides(self, behind: usize, word: &str) -> bool {
        match self {
            Holder::Password => true,
            Holder::Key if behind == 1 => {
                let id = word.len() <= 3 && word.bytes().all(|b| b.is_ascii_digit());
                // `key` of the SSL block is a file.
                !id && !word.starts_with('/')
            }
            Holder::Key => !word.starts_with("file:"),
        }
    }
}

/// Whether the value of this definition is likely to be a secret.
fn defines_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "pw", "key", "secret"]
        .iter()
        .any(|part| name.contains(part))
}

/// The text of a line with its secrets masked. Its length in bytes stays.
pub fn masked(line: &str) -> Cow<'_, str> {
    let mut hidden: Vec<(usize, usize)> = Vec::new();
    let mut holder: Option<(Holder, usize)> = None;
    // Keywords stand at the beginning, and behind a brace where a block is written on one line.
    let mut expected = true;
    for word in line.split_ascii_whitespace() {
        let from = word.as_ptr() as usize - line.as_ptr() as usize;
        let to = from + word.len();
        if let Some((holder, behind)) = &mut holder {
            *behind += 1;
            if word != "}" && holder.hides(*behind, word) {
                hidden.push((from, to));
            }
            continue;
        }
        if let Some((name, value)) = word.strip_prefix('$').and_then(|d| d.split_once('='))
            && expected
            && defines_secret(name)
        {
            hidden.push((to - value.len(), line.len()));
            break;
        }
        holder = Holder::of(word)
            .filter(|_| expected || word.starts_with("auth_"))
            .map(|holder| (holder, 0));
        expected = matches!(word, "{" | "}") || word.starts_with('@') || word.ends_with('{');
    }
    if hidden.is_empty() {
        return Cow::Borrowed(line);
    }
    let mut text = String::with_capacity(line.len());
    let mut done = 0;
    for (from, to) in hidden {
        text.push_str(line.get(done..from).unwrap_or_default());
        text.push_str(&"*".repeat(to - from));
        done = to;
    }
    text.push_str(line.get(done..).unwrap_or_default());
    Cow::Owned(text)
}

impl Line {
    /// A word as it may be shown.
    pub fn shown(&self, index: usize) -> &str {
        let word = self.text(index).unwrap_or_default();
        let holder = self.text(0).and_then(Holder::of);
        match holder {
            Some(holder) if index > 0 && holder.hides(index, word) => MASK,
            _ => word,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_become_stars_and_the_rest_stays() {
        for (line, want) in [
            ("  auth_pass hidden", "  auth_pass ******"),
            ("auth_pass \"two words", "auth_pass **** *****"),
            ("\tauth_pas hidden }", "\tauth_pas ****** }"),
            (
                "authentication { auth_type PASS auth_pass hidden }",
                "authentication { auth_type PASS auth_pass ****** }",
            ),
            ("@^other auth_pass hidden", "@^other auth_pass ******"),
            ("key 1 hidden", "key 1 ******"),
            ("kye 12 \"hidd en\"", "kye 12 ***** ***"),
            ("key hidden", "key ******"),
            ("key 1 file:/etc/key", "key 1 file:/etc/key"),
            ("key /etc/ssl/key.pem", "key /etc/ssl/key.pem"),
            ("password gehäuse", "password ********"),
            ("$VRRP_PASS=hidden", "$VRRP_PASS=******"),
            ("$NAME=shown", "$NAME=shown"),
            ("priority 100", "priority 100"),
            ("interface key 12345", "interface key 12345"),
            ("", ""),
        ] {
            assert_eq!(masked(line), want);
        }
    }
}
