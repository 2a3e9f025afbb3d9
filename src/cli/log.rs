//! Log lines on standard error: `LEVEL message, key=value, key=value`, or one JSON object each.

use std::{fmt, io, sync::Arc};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    layer::SubscriberExt as _,
    registry::LookupSpan,
};

use super::{
    global::{GlobalArguments, LogFormat},
    terminal::{
        screen::{self, Screen},
        streams::Inert,
    },
};
use crate::{
    config::{Choices, read_text, schema::Schema},
    model::entry_name::{printable_json, printable_line},
};

/// Starts logging as the command line and the configuration ask. Returns the format of the lines.
pub fn start(global: &GlobalArguments, screen: &Arc<Screen>, environment: &Choices) -> LogFormat {
    let schema = configured(&global.choices(environment));
    let said = |text: Option<&String>| text.map(|text| text.to_ascii_lowercase());
    let (level, format) = (
        said(schema.as_ref().and_then(|schema| schema.log_level.as_ref())),
        said(
            schema
                .as_ref()
                .and_then(|schema| schema.log_format.as_ref()),
        ),
    );
    let level = match (global.quiet, global.verbose) {
        (true, _) => LevelFilter::WARN,
        (false, 1) => LevelFilter::DEBUG,
        (false, 2..) => LevelFilter::TRACE,
        // A service that logs less does not silence hookshot, which a user runs by hand.
        (false, 0) => match level.as_deref() {
            Some("debug") => LevelFilter::DEBUG,
            Some("trace") => LevelFilter::TRACE,
            _ => LevelFilter::INFO,
        },
    };
    let format = match (global.log_format, format.as_deref()) {
        (Some(format), _) => format,
        (None, Some("json")) => LogFormat::Json,
        (None, _) => LogFormat::Text,
    };
    // A quiet run answers a request for progress (SIGUSR1), too.
    let targets = Targets::new()
        .with_default(level)
        .with_target(screen::ASKED, level.max(LevelFilter::INFO));
    let builder = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE);
    let (is_colored, screen) = (screen.is_colored(), screen.clone());
    // A second start, in a test, keeps the first one's.
    let _ = if format == LogFormat::Json {
        // An event is written as a whole.
        let builder =
            builder.with_writer(move || Inert::new(screen.above(io::stderr()), printable_json));
        let lines = builder.json().flatten_event(true).finish();
        tracing::subscriber::set_global_default(lines.with(targets))
    } else {
        let lines = Lines { color: is_colored };
        let builder = builder.with_writer(move || screen.above(io::stderr()));
        tracing::subscriber::set_global_default(builder.event_format(lines).finish().with(targets))
    };
    format
}

/// Reads the configuration for its `[logging]`. Returns `None` if it cannot be read; the verb reports why.
fn configured(choices: &Choices) -> Option<Schema> {
    Schema::parse(&read_text(&choices.config_path().ok()?).ok()??).ok()
}

struct Lines {
    color: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        let color = match level {
            Level::ERROR => "\x1b[31m",
            Level::WARN => "\x1b[33m",
            Level::INFO => "\x1b[32m",
            _ => "\x1b[2m",
        };
        if self.color {
            write!(writer, "{color}{level}\x1b[0m ")?;
        } else {
            write!(writer, "{level} ")?;
        }
        let mut line = Line::default();
        event.record(&mut line);
        // The sentence about progress has all of its numbers.
        if matches!(event.metadata().target(), screen::ASKED | screen::PROGRESS) {
            line.fields.clear();
        }
        writeln!(
            writer,
            "{}{}",
            printable_line(&line.message),
            printable_line(&line.fields)
        )
    }
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Line {
    fn add(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            self.fields.push_str(&format!(", {}={value}", field.name()));
        }
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }
}
