//! Regular expressions of PCRE2, keepalived's dialect, with all options of `regex_options`.

use pcre2_sys::*;
use std::ptr::{self, NonNull};

/// Names in `regex_options`, with PCRE2's bits.
const OPTIONS: [(&str, u32); 24] = [
    ("allow_empty_class", PCRE2_ALLOW_EMPTY_CLASS),
    ("alt_bsux", PCRE2_ALT_BSUX),
    ("alt_circumflex", PCRE2_ALT_CIRCUMFLEX),
    ("alt_verbnames", PCRE2_ALT_VERBNAMES),
    ("auto_callout", PCRE2_AUTO_CALLOUT),
    ("caseless", PCRE2_CASELESS),
    ("dollar_endonly", PCRE2_DOLLAR_ENDONLY),
    ("dotall", PCRE2_DOTALL),
    ("dupnames", PCRE2_DUPNAMES),
    ("extended", PCRE2_EXTENDED),
    ("firstline", PCRE2_FIRSTLINE),
    ("match_unset_backref", PCRE2_MATCH_UNSET_BACKREF),
    ("multiline", PCRE2_MULTILINE),
    ("never_backslash_c", PCRE2_NEVER_BACKSLASH_C),
    ("never_ucp", PCRE2_NEVER_UCP),
    ("never_utf", PCRE2_NEVER_UTF),
    ("no_auto_capture", PCRE2_NO_AUTO_CAPTURE),
    ("no_auto_possess", PCRE2_NO_AUTO_POSSESS),
    ("no_dotstar_anchor", PCRE2_NO_DOTSTAR_ANCHOR),
    ("no_start_optimize", PCRE2_NO_START_OPTIMIZE),
    ("ucp", PCRE2_UCP),
    ("ungreedy", PCRE2_UNGREEDY),
    ("use_offset_limit", PCRE2_USE_OFFSET_LIMIT),
    ("utf", PCRE2_UTF),
];

/// Steps of the matcher at most: a pattern that explodes fails in well under a second.
const STEPS: u32 = 1_000_000;

/// Memory of the matcher at most, KiB.
const HEAP: u32 = 16 * 1024;

/// A compiled pattern.
#[derive(Debug)]
pub struct Pattern {
    code: NonNull<pcre2_code_8>,
    data: NonNull<pcre2_match_data_8>,
    context: NonNull<pcre2_match_context_8>,
}

/// Why a pattern is not good, or could not be matched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct PatternError {
    /// PCRE2's words.
    pub text: String,
    /// Where in the pattern, bytes.
    pub offset: Option<usize>,
}

// SAFETY: the three objects are owned by this value alone, and PCRE2 ties none of them to a thread.
unsafe impl Send for Pattern {}

impl Pattern {
    /// Compiles a pattern. Names of options that are not known have no effect. With `limit` a match may start
    /// up to that offset only.
    pub fn new(pattern: &str, options: &[String], limit: Option<usize>) -> Result<Pattern, PatternError> {
        let mut bits = options
            .iter()
            .filter_map(|name| OPTIONS.iter().find(|(known, _)| known == name))
            .fold(0, |bits, (_, bit)| bits | bit);
        if limit.is_some() {
            bits |= PCRE2_USE_OFFSET_LIMIT;
        }
        let (mut error, mut offset) = (0, 0);
        // SAFETY: the pattern is given with its length; the two results are valid for writes.
        let code = unsafe {
            pcre2_compile_8(
                pattern.as_ptr(),
                pattern.len(),
                bits,
                &mut error,
                &mut offset,
                ptr::null_mut(),
            )
        };
        let Some(code) = NonNull::new(code) else {
            return Err(PatternError {
                text: message(error),
                offset: Some(offset),
            });
        };
        // SAFETY: a compiled pattern; only the start and end of a match are wanted: one pair.
        let data = NonNull::new(unsafe { pcre2_match_data_create_8(1, ptr::null_mut()) });
        // SAFETY: no argument but the general context, which may be null.
        let context = NonNull::new(unsafe { pcre2_match_context_create_8(ptr::null_mut()) });
        let (Some(data), Some(context)) = (data, context) else {
            // SAFETY: each was made above or is null, and is used no more.
            unsafe {
                pcre2_match_data_free_8(data.map_or(ptr::null_mut(), NonNull::as_ptr));
                pcre2_match_context_free_8(context.map_or(ptr::null_mut(), NonNull::as_ptr));
                pcre2_code_free_8(code.as_ptr());
            }
            return Err(PatternError {
                text: "out of memory".to_owned(),
                offset: None,
            });
        };
        // SAFETY: a match context that was just made.
        unsafe {
            pcre2_set_match_limit_8(context.as_ptr(), STEPS);
            pcre2_set_heap_limit_8(context.as_ptr(), HEAP);
            if let Some(limit) = limit {
                pcre2_set_offset_limit_8(context.as_ptr(), limit);
            }
        }
        Ok(Pattern { code, data, context })
    }

    /// Whether there is a match that starts at `from` or later.
    pub fn matches(&mut self, text: &[u8], from: usize) -> Result<bool, PatternError> {
        if from > text.len() {
            return Ok(false);
        }
        // SAFETY: the text is given with its length, `from` is not past its end, and the three objects are
        // alive and used by this call alone (`&mut self`).
        let result = unsafe {
            pcre2_match_8(
                self.code.as_ptr(),
                text.as_ptr(),
                text.len(),
                from,
                0,
                self.data.as_ptr(),
                self.context.as_ptr(),
            )
        };
        match result {
            PCRE2_ERROR_NOMATCH => Ok(false),
            0.. => Ok(true),
            error => Err(PatternError {
                text: message(error),
                offset: None,
            }),
        }
    }
}

impl Drop for Pattern {
    fn drop(&mut self) {
        // SAFETY: all three were made in `new`, and nothing else refers to them.
        unsafe {
            pcre2_match_data_free_8(self.data.as_ptr());
            pcre2_match_context_free_8(self.context.as_ptr());
            pcre2_code_free_8(self.code.as_ptr());
        }
    }
}

fn message(error: i32) -> String {
    let mut buffer = [0; 256];
    // SAFETY: the buffer is valid for writes of its length.
    let length = unsafe { pcre2_get_error_message_8(error, buffer.as_mut_ptr(), buffer.len()) };
    let length = usize::try_from(length).unwrap_or(0);
    String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, options: &str, text: &str) -> bool {
        let options: Vec<String> = options.split_whitespace().map(str::to_owned).collect();
        Pattern::new(pattern, &options, None)
            .unwrap()
            .matches(text.as_bytes(), 0)
            .unwrap()
    }

    #[test]
    fn options() {
        // Pattern, options, text; a match with the options and none without, or the reverse.
        let table = [
            ("UP", "caseless", "is up", true),
            ("a.b", "dotall", "a\nb", true),
            ("^b", "multiline", "a\nb", true),
            ("a b # x", "extended", "ab", true),
            ("a$", "dollar_endonly", "a\n", false),
            ("b", "firstline", "a\nb", false),
            ("^\\w$", "utf ucp", "\u{e4}", true),
            ("^.$", "utf", "\u{e4}", true),
            ("(?<n>a)|(?<n>b)", "dupnames", "b", true),
            ("^(a)?\\1b$", "match_unset_backref", "b", true),
            ("^\\x$", "alt_bsux", "x", true),
            ("a[]b", "allow_empty_class", "a]", false),
        ];
        for (pattern, options, text, with) in table {
            assert_eq!(matches(pattern, options, text), with, "{pattern} {options}");
            let without = Pattern::new(pattern, &[], None)
                .ok()
                .and_then(|mut p| p.matches(text.as_bytes(), 0).ok());
            assert_ne!(without, Some(with), "{pattern} without {options}");
        }
        assert_eq!(OPTIONS.iter().fold(0, |all, (_, bit)| all | bit).count_ones(), 24);
    }

    #[test]
    fn offsets() {
        let at = |from, limit| {
            let mut pattern = Pattern::new("x", &[], limit).unwrap();
            pattern.matches(b"..x..", from).unwrap()
        };
        assert!(at(0, None) && at(2, None) && at(0, Some(2)));
        assert!(!at(3, None) && !at(0, Some(1)) && !at(9, None));
    }

    #[test]
    fn what_is_wrong() {
        let error = Pattern::new("a(b", &[], None).unwrap_err();
        assert_eq!(
            (error.text.as_str(), error.offset),
            ("missing closing parenthesis", Some(3))
        );
        let mut slow = Pattern::new("^(a|aa|aaa)+$", &["no_auto_possess".to_owned()], None).unwrap();
        let text = [&[b'a'; 60][..], b"b"].concat();
        assert_eq!(slow.matches(&text, 0).unwrap_err().text, "match limit exceeded");
        let mut utf = Pattern::new("x", &["utf".to_owned()], None).unwrap();
        assert!(utf.matches(b"\xff x", 0).is_err());
    }
}
