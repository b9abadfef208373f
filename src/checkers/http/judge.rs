//! Whether a response is what the configuration wants: status, digest, pattern.

use super::exchange::{Head, Reader};
use crate::model::lvs::Url;
use md5::{Digest, Md5};
use tracing::info;

/// Bytes of a body that a pattern is looked for in, at most.
pub const MATCHED: usize = 1024 * 1024;

/// What a url wants, ready to be compared.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub url: &'a Url,
    #[cfg(feature = "pcre2")]
    pattern: Option<crate::sys::pattern::Pattern>,
}

/// What does not agree: keepalived's words, and ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub what: &'static str,
    pub reason: String,
}

impl<'a> Wanted<'a> {
    /// Compiles the pattern; says what is wrong with it.
    pub fn new(url: &'a Url) -> Wanted<'a> {
        #[cfg(not(feature = "pcre2"))]
        if url.pattern.is_some() {
            info!(target: "checkers", "regex of url {} is ignored: built without the feature pcre2", url.path);
        }
        Wanted {
            url,
            #[cfg(feature = "pcre2")]
            pattern: url.pattern.as_ref().and_then(|pattern| {
                let limit = (pattern.max_offset > 0).then_some(pattern.max_offset);
                match crate::sys::pattern::Pattern::new(&pattern.regex, &pattern.options, limit) {
                    Ok(pattern) => Some(pattern),
                    Err(error) => {
                        info!(
                            target: "checkers",
                            "Invalid regex: '{}' at offset {}: {error}",
                            pattern.regex, error.offset.unwrap_or(0)
                        );
                        info!(target: "checkers", "url {} is checked without its regex", url.path);
                        None
                    }
                }
            }),
        }
    }

    /// What is said when it agrees.
    pub fn success(&self) -> &'static str {
        if self.has_pattern() {
            "Regex match"
        } else if self.url.digest.is_some() {
            "MD5 digest"
        } else {
            "HTTP status code"
        }
    }

    #[cfg(feature = "pcre2")]
    fn has_pattern(&self) -> bool {
        self.pattern.is_some()
    }

    #[cfg(not(feature = "pcre2"))]
    fn has_pattern(&self) -> bool {
        false
    }

    #[cfg(feature = "pcre2")]
    fn matches(&mut self, body: &[u8]) -> Result<(), Fault> {
        let (Some(pattern), Some(config)) = (&mut self.pattern, &self.url.pattern) else {
            return Ok(());
        };
        let reason = match pattern.matches(body, config.min_offset) {
            Ok(found) if found != config.no_match => return Ok(()),
            Ok(true) => "the body has what regex must not match".to_owned(),
            Ok(false) if body.len() >= MATCHED => {
                format!("regex does not match in the first {MATCHED} bytes of the body")
            }
            Ok(false) => "regex does not match the body".to_owned(),
            Err(error) => format!("regex could not be matched: {error}"),
        };
        Err(Fault {
            what: "Regex match failed",
            reason,
        })
    }

    #[cfg(not(feature = "pcre2"))]
    fn matches(&mut self, _: &[u8]) -> Result<(), Fault> {
        Ok(())
    }
}

/// Takes a response and gives the verdict.
pub(super) struct Judge {
    status: u16,
    digest: Option<Md5>,
    kept: Option<Vec<u8>>,
}

impl Judge {
    pub fn new(wanted: &Wanted<'_>) -> Judge {
        Judge {
            status: 0,
            digest: wanted.url.digest.map(|_| Md5::new()),
            kept: wanted.has_pattern().then(Vec::new),
        }
    }

    pub fn verdict(self, wanted: &mut Wanted<'_>) -> Result<(), Fault> {
        let good = &wanted.url.status;
        let fits = if good.is_empty() {
            (200..=299).contains(&self.status)
        } else {
            good.iter().any(|r| (r.first..=r.last).contains(&self.status))
        };
        if !fits {
            return Err(Fault {
                what: "HTTP status code error to",
                reason: format!("HTTP status {} for {}", self.status, wanted.url.path),
            });
        }
        if let (Some(digest), Some(expected)) = (self.digest, wanted.url.digest) {
            let digest: [u8; 16] = digest.finalize().into();
            if digest != expected {
                return Err(Fault {
                    what: "MD5 digest error to",
                    reason: format!("the digest of {} is {}", wanted.url.path, hex(&digest)),
                });
            }
        }
        match self.kept {
            Some(body) => wanted.matches(&body),
            None => Ok(()),
        }
    }
}

impl Reader for Judge {
    fn head(&mut self, head: Head) {
        self.status = head.status;
    }

    fn body(&mut self, bytes: &[u8]) {
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
        }
        if let Some(kept) = &mut self.kept {
            let room = MATCHED.saturating_sub(kept.len()).min(bytes.len());
            kept.extend_from_slice(bytes.get(..room).unwrap_or_default());
        }
    }
}

/// As keepalived prints a digest.
pub fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
