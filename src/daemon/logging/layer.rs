//! From `tracing` events to records.

use super::{Area, Log, Record};
use std::fmt::{Debug, Write};
use std::time::SystemTime;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Puts events into the log's queue.
///
/// The level says how important a line is to keepalived: `error!` is LOG_ERR, `warn!` LOG_WARNING, `info!`
/// LOG_INFO; `debug!` is LOG_INFO made only with `-D`, `trace!` only with `-D -D`.
#[derive(Debug)]
pub struct LogLayer {
    log: Log,
}

impl LogLayer {
    pub(super) fn new(log: Log) -> LogLayer {
        LogLayer { log }
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> tracing::subscriber::Interest {
        // What libraries say of their own work is no line of keepalived's.
        match metadata.target() {
            "parent" | "vrrp" | "checkers" | "bfd" => tracing::subscriber::Interest::sometimes(),
            target if target.starts_with("keepalived_rs") => tracing::subscriber::Interest::sometimes(),
            _ => tracing::subscriber::Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        match *metadata.level() {
            Level::TRACE => self.log.detail() >= 2,
            Level::DEBUG => self.log.detail() >= 1,
            _ => true,
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut record = Record {
            time: SystemTime::now(),
            priority: match *event.metadata().level() {
                Level::ERROR => 3,
                Level::WARN => 4,
                _ => 6,
            },
            area: Area::of_target(event.metadata().target()),
            text: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut Fields(&mut record));
        self.log.emit(record);
    }
}

struct Fields<'a>(&'a mut Record);

impl Fields<'_> {
    fn add(&mut self, field: &Field, value: String) {
        // Names of journal fields are upper case; others are for the code's own use.
        if field
            .name()
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
            && !value.is_empty()
        {
            self.0.fields.push((field.name(), value));
        }
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            let _ = write!(self.0.text, "{value:?}");
        } else {
            self.add(field, format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.0.text.push_str(value);
        } else {
            self.add(field, value.to_owned());
        }
    }
}
