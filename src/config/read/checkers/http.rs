//! HTTP_GET, SSL_GET.

use super::{
    Class, Connection, Context, Flow, HttpCheck, Keyword, Line, RealServer, VirtualServer, missing, switch,
};
use crate::config::lexer::Escapes;
use crate::config::read::value::{Strictness, unsigned, unsigned32};
use crate::model::lvs::{HttpProtocol, Pattern, StatusRange, Url};

/// Hex digits of an MD5 digest.
const DIGEST_LENGTH: usize = 32;

/// Options of a regular expression.
const OPTIONS: [&str; 25] = [
    "allow_empty_class",
    "alt_bsux",
    "auto_callout",
    "caseless",
    "dollar_endonly",
    "dotall",
    "dupnames",
    "extended",
    "firstline",
    "match_unset_backref",
    "multiline",
    "never_ucp",
    "never_utf",
    "no_auto_capture",
    "no_auto_possess",
    "no_dotstar_anchor",
    "no_start_optimize",
    "ucp",
    "ungreedy",
    "utf",
    "never_backslash_c",
    "alt_circumflex",
    "alt_verbnames",
    "use_offset_limit",
    "anchored",
];

#[derive(Debug)]
pub(super) struct HttpDraft {
    tls: bool,
    virtual_host: Option<String>,
    protocol: HttpProtocol,
    enable_sni: bool,
    sni_name: Option<String>,
    fast_recovery: bool,
    tls_compliant: bool,
    url: Option<UrlDraft>,
    urls: Vec<Url>,
}

#[derive(Debug, Default)]
struct UrlDraft {
    path: Option<String>,
    digest: Option<[u8; 16]>,
    status: Vec<StatusRange>,
    virtual_host: Option<String>,
    pattern: Option<Pattern>,
    tls_compliant: Option<bool>,
}

impl HttpDraft {
    pub(super) fn new(tls: bool) -> Self {
        Self {
            tls,
            virtual_host: None,
            protocol: HttpProtocol::default(),
            enable_sni: false,
            sni_name: None,
            fast_recovery: false,
            tls_compliant: false,
            url: None,
            urls: Vec::new(),
        }
    }

    /// A keyword that only these checkers have.
    pub(super) fn owns(&self, keyword: &Keyword) -> bool {
        keyword.block.ends_with("/url")
            || matches!(
                keyword.name,
                "virtualhost"
                    | "http_protocol"
                    | "enable_sni"
                    | "sni_name"
                    | "fast_recovery"
                    | "tls_compliant"
                    | "url"
            )
    }

    pub(super) fn keyword(&mut self, name: &str, line: &Line, context: &mut Context) -> Flow {
        if let Some(url) = self.url.as_mut() {
            return url.keyword(name, line, context);
        }
        match name {
            "url" => self.url = Some(UrlDraft::default()),
            "enable_sni" => self.enable_sni = switch(name, line, context).unwrap_or(self.enable_sni),
            "fast_recovery" => self.fast_recovery = switch(name, line, context).unwrap_or(self.fast_recovery),
            "tls_compliant" => self.tls_compliant = switch(name, line, context).unwrap_or(self.tls_compliant),
            "sni_name" => {
                self.enable_sni = true;
                self.sni_name = line.text(1).map(str::to_owned);
            }
            _ => {
                let Some(word) = line.words.get(1) else {
                    return missing(line, 1, context);
                };
                if name == "virtualhost" {
                    self.virtual_host = Some(word.text.clone());
                    return Flow::Continue;
                }
                match word.text.as_str() {
                    "1.0" => self.protocol = HttpProtocol::V10,
                    "1.0C" | "1.0c" => self.protocol = HttpProtocol::V10Close,
                    "1.1" => self.protocol = HttpProtocol::V11,
                    other => {
                        let text = format!("Invalid http_protocol version {other}");
                        context.diagnostics.at(Class::General, word.span, text);
                    }
                }
            }
        }
        Flow::Continue
    }

    pub(super) fn end_url(&mut self, context: &mut Context) {
        let Some(url) = self.url.take() else {
            return;
        };
        let Some(path) = url.path else {
            context.complain(Class::General, "HTTP/SSL_GET checker url has no path - ignoring");
            return;
        };
        self.urls.push(Url {
            path,
            digest: url.digest,
            status: url.status,
            virtual_host: url.virtual_host,
            pattern: url.pattern.filter(|p| !p.regex.is_empty()),
            tls_compliant: url.tls_compliant,
        });
    }

    pub(super) fn end(&mut self, context: &mut Context) -> bool {
        if self.urls.is_empty() {
            let text = "HTTP/SSL_GET checker has no urls specified - ignoring";
            context.complain(Class::General, text);
        }
        !self.urls.is_empty()
    }

    pub(super) fn complete(
        self,
        connection: Connection,
        real: &RealServer,
        server: &VirtualServer,
    ) -> HttpCheck {
        let inherited = || real.virtual_host.clone().or_else(|| server.virtual_host.clone());
        HttpCheck {
            connection,
            tls: self.tls,
            virtual_host: self.virtual_host.or_else(inherited),
            protocol: self.protocol,
            enable_sni: self.enable_sni,
            sni_name: self.sni_name,
            fast_recovery: self.fast_recovery,
            tls_compliant: self.tls_compliant,
            urls: self.urls,
        }
    }
}

impl UrlDraft {
    fn keyword(&mut self, name: &str, line: &Line, context: &mut Context) -> Flow {
        match name {
            "tls_compliant" => {
                self.tls_compliant = switch(name, line, context).or(self.tls_compliant);
                return Flow::Continue;
            }
            "regex_no_match" => {
                self.pattern().no_match = true;
                return Flow::Continue;
            }
            "regex_options" => {
                let known = line.words.iter().skip(1).map(|w| w.text.as_str());
                let known = known.filter(|option| OPTIONS.contains(option)).map(str::to_owned);
                self.pattern().options.extend(known);
                return Flow::Continue;
            }
            _ => {}
        }
        let Some(word) = line.words.get(1) else {
            return missing(line, 1, context);
        };
        match name {
            "path" => self.path = Some(word.text.clone()),
            "virtualhost" => self.virtual_host = Some(word.text.clone()),
            "digest" => self.digest(line, context),
            "status_code" => self.status(line, context),
            "regex" => match line.arguments(Escapes::Interpret) {
                Ok(words) => self.pattern().regex = words.into_iter().next().unwrap_or_default(),
                Err(error) => {
                    context.complain(Class::UnmatchedQuote, error.to_string());
                }
            },
            "regex_min_offset" | "regex_max_offset" => {
                let most = u64::from(u32::MAX);
                if let Some(offset) = unsigned(word, 0, most, Strictness::Lenient, context) {
                    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
                    if name == "regex_min_offset" {
                        self.pattern().min_offset = offset;
                    } else {
                        self.pattern().max_offset = offset;
                    }
                }
            }
            "regex_stack" => {
                let Some(second) = line.words.get(2) else {
                    return missing(line, 2, context);
                };
                let start = unsigned32(word, 0, u32::MAX, Strictness::Lenient, context);
                let most = unsigned32(second, 0, u32::MAX, Strictness::Lenient, context);
                self.pattern().stack = start.zip(most);
            }
            _ => {}
        }
        Flow::Continue
    }

    fn pattern(&mut self) -> &mut Pattern {
        self.pattern.get_or_insert_with(Pattern::default)
    }

    fn digest(&mut self, line: &Line, context: &mut Context) {
        let value = line.text(1).unwrap_or_default();
        let complaint = if self.digest.is_some() {
            format!("Digest '{value}' is a duplicate")
        } else if value.len() != DIGEST_LENGTH {
            format!(
                "digest '{value}' character length should be {DIGEST_LENGTH} rather than {}",
                value.len()
            )
        } else {
            let mut digest = [0; 16];
            let mut wrong = None;
            for (index, (byte, pair)) in digest.iter_mut().zip(value.as_bytes().chunks(2)).enumerate() {
                let digit = |c: &u8| (*c as char).to_digit(16).map(|d| d as u8);
                match pair {
                    [high, low] if digit(high).is_some() && digit(low).is_some() => {
                        *byte = digit(high).unwrap_or(0) << 4 | digit(low).unwrap_or(0);
                    }
                    _ => {
                        wrong.get_or_insert(index * 2);
                    }
                }
            }
            match wrong {
                None => {
                    self.digest = Some(digest);
                    return;
                }
                Some(at) => format!(
                    "Unable to interpret hex digit in '{value}' at offset {at}/{}",
                    at + 1
                ),
            }
        };
        context.diagnostics.at(Class::General, line.span_of(1), complaint);
    }

    fn status(&mut self, line: &Line, context: &mut Context) {
        for word in &line.words[1..] {
            let (first, last) = word.text.split_once('-').unwrap_or((&word.text, &word.text));
            let code = |text: &str| text.parse::<u16>().ok().filter(|c| (100..=599).contains(c));
            match code(first).zip(code(last)) {
                Some((first, last)) if first <= last => self.status.push(StatusRange { first, last }),
                _ => {
                    let text = format!("Invalid HTTP_GET status code '{}'", word.text);
                    context.diagnostics.at(Class::General, word.span, text);
                }
            }
        }
    }
}
