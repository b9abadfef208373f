//! `auth_hmac`.

use super::draft::Draft;
use super::field::{u8_in, u32_in};
use super::{Context, Flow};
use crate::config::diagnostic::Class;
use crate::config::line::Line;
use crate::model::secret::Key;
use crate::model::vrrp::{AuthHmac, HmacMode};
use std::path::Path;
use zeroize::Zeroizing;

/// Largest key file.
const KEY_FILE: usize = 140;

/// The block while it is being read.
#[derive(Debug, Default)]
pub(super) struct HmacDraft {
    keys: Vec<(u8, Key)>,
    active: Option<u8>,
    window: Option<u32>,
    monotonic: bool,
    mode: HmacMode,
}

/// A keyword of the block.
pub(super) fn keyword(draft: &mut Draft, keyword: &str, line: &Line, context: &mut Context) -> Flow {
    let name = draft.instance.name.clone();
    let Some(value) = context.parameter(line, 1) else {
        return Flow::Missing;
    };
    let shown = line.shown(1);
    let hmac = draft.given.hmac.get_or_insert_default();
    let say = |index: usize, text: String, context: &mut Context| {
        context.diagnostics.at(Class::General, line.span_of(index), text);
    };
    match keyword {
        "key" => {
            let Some(secret) = context.parameter(line, 2) else {
                return Flow::Missing;
            };
            let Some(id) = u8_in(line, 1, 1, 255, context) else {
                let text =
                    format!("({name}) auth_hmac key id '{shown}' must be between 1 and 255 - ignoring");
                say(1, text, context);
                return Flow::Continue;
            };
            if hmac.keys.iter().any(|(k, _)| *k == id) {
                let text = format!("({name}) auth_hmac key {id} already specified - ignoring");
                say(1, text, context);
                return Flow::Continue;
            }
            match key(&name, secret, line, context) {
                Ok(key) if (32..=64).contains(&key.expose().len()) => hmac.keys.push((id, key)),
                Ok(key) => {
                    let text = format!(
                        "({name}) auth_hmac key {id} is {} bytes long, must be between 32 and 64 - ignoring",
                        key.expose().len()
                    );
                    say(2, text, context);
                }
                Err(reason) => {
                    let text = format!("({name}) auth_hmac key {id} {reason} - ignoring");
                    say(2, text, context);
                }
            }
        }
        "active_key" => match u8_in(line, 1, 1, 255, context) {
            Some(id) => hmac.active = Some(id),
            None => {
                let text = format!("({name}) auth_hmac active_key '{value}' invalid - ignoring");
                say(1, text, context);
            }
        },
        "time_window" => match u32_in(line, 1, 1, 300, context) {
            Some(n) => hmac.window = Some(n),
            None => {
                let text = format!("({name}) auth_hmac time_window '{value}' invalid - ignoring");
                say(1, text, context);
            }
        },
        "anti_replay" => match value {
            "time" => hmac.monotonic = false,
            "monotonic" => hmac.monotonic = true,
            _ => {
                let text = format!("({name}) auth_hmac unknown anti_replay '{value}' - ignoring");
                say(1, text, context);
            }
        },
        "mode" => match value {
            "enforce" => hmac.mode = HmacMode::Enforce,
            "permissive" => hmac.mode = HmacMode::Permissive,
            "receive-only" => hmac.mode = HmacMode::ReceiveOnly,
            _ => {
                let text = format!("({name}) auth_hmac unknown mode '{value}' - ignoring");
                say(1, text, context);
            }
        },
        _ => {}
    }
    Flow::Continue
}

fn key(name: &str, secret: &str, line: &Line, context: &mut Context) -> Result<Key, String> {
    if let Some(digits) = secret.strip_prefix("hex:") {
        let digits: Zeroizing<Vec<u8>> = digits
            .chars()
            .filter(|c| !c.is_whitespace())
            .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
            .collect::<Option<_>>()
            .map(Zeroizing::new)
            .ok_or("is not hexadecimal")?;
        if !digits.len().is_multiple_of(2) {
            return Err("has an odd number of hexadecimal digits".to_owned());
        }
        return Ok(Key::new(digits.chunks(2).map(|p| p[0] << 4 | p[1]).collect()));
    }
    if let Some(path) = secret.strip_prefix("file:") {
        let path = context.host.current_directory().join(Path::new(path));
        if let Ok(status) = context.host.status(&path, true)
            && status.mode & 0o077 != 0
        {
            context
                .diagnostics
                .at(
                    Class::Security,
                    line.span_of(2),
                    format!(
                        "({name}) auth_hmac key file {} is accessible by group or others",
                        path.display()
                    ),
                )
                .help(format!("mend it with `chmod 0600 {}`", path.display()));
        }
        let bytes = context
            .host
            .read(&path)
            .map(Zeroizing::new)
            .map_err(|e| format!("file cannot be read ({})", crate::config::source::reason(&e)))?;
        if bytes.len() > KEY_FILE {
            return Err("file is too large".to_owned());
        }
        let end = bytes
            .iter()
            .rposition(|b| !b.is_ascii_whitespace())
            .map_or(0, |i| i + 1);
        return Ok(Key::new(bytes[..end].to_vec()));
    }
    Ok(Key::new(secret.as_bytes().to_vec()))
}

/// The end of the block.
pub(super) fn end(draft: &mut Draft, context: &mut Context) {
    let name = &draft.instance.name;
    let hmac = draft.given.hmac.get_or_insert_default();
    if hmac.keys.is_empty() {
        let text = format!("({name}) auth_hmac has no keys - ignoring");
        context.complain(Class::General, text);
        draft.given.hmac = None;
        return;
    }
    let defined = |id: &u8| hmac.keys.iter().any(|(k, _)| k == id);
    if !hmac.active.as_ref().is_some_and(defined) {
        let text = match hmac.active {
            Some(id) => format!("({name}) auth_hmac active_key {id} is not defined - disabling"),
            None => format!("({name}) auth_hmac has no active_key - disabling"),
        };
        context.complain(Class::General, text);
        draft.given.hmac = None;
    }
}

/// The block as the model has it; `interval` is the advertisement interval in whole seconds.
pub(super) fn complete(draft: HmacDraft, interval: u64, strict: bool) -> AuthHmac {
    let derived = if draft.monotonic {
        0
    } else {
        u32::try_from(interval.saturating_mul(3))
            .unwrap_or(300)
            .clamp(5, 300)
    };
    AuthHmac {
        active_key: draft.active.unwrap_or(0),
        keys: draft.keys,
        time_window: draft.window.unwrap_or(derived),
        monotonic: draft.monotonic,
        mode: if strict { HmacMode::Enforce } else { draft.mode },
    }
}
