//! The log of the program, on standard error, between the lines of a progress
//! display if there is one.
//!
//! What is logged at `warn` is meant for people, so it looks like every other
//! warning; with a finer filter each line says when and where. Which targets and
//! fields programs may count on is said in `host/images/trace.rs`.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use indicatif::MultiProgress;
use serde::Serialize;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use wharf::traces::Traces;

/// Where the log finds the progress display, once there is one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Screen {
    lines: Arc<OnceLock<MultiProgress>>,
}

impl Screen {
    /// Lets the log write between the lines of `progress`.
    pub(crate) fn share(&self, progress: MultiProgress) {
        // A second display would be a second pull in one process, which main never starts.
        let _ = self.lines.set(progress);
    }
}

/// How the lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// For people, with or without colours.
    Text {
        /// Whether to colour.
        colored: bool,
    },
    /// For programs: an object a line, as in `tests/data/progress.schema.json`.
    Json,
}

/// Starts the log. The error says what is wrong with `filter`, which is as in
/// `warn` or `warn,wharf=debug`. Spans go to `traces` whatever the filter.
pub(crate) fn start(filter: &str, form: Form, traces: Option<&Traces>) -> Result<Screen, String> {
    let filter = EnvFilter::builder().parse(filter).map_err(|error| error.to_string())?;
    let brief = filter.max_level_hint().is_some_and(|level| level <= LevelFilter::WARN);
    let screen = Screen::default();
    let colored = form == Form::Text { colored: true };
    let lines = Lines { brief, form, full: Format::default().with_ansi(colored), begin: Instant::now() };
    let Some(traces) = traces else {
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(screen.clone());
        log.with_ansi(colored).event_format(lines).init();
        return Ok(screen);
    };
    let log = tracing_subscriber::fmt::layer().with_writer(screen.clone()).with_ansi(colored).event_format(lines);
    tracing_subscriber::registry().with(log.with_filter(filter)).with(traces.layer()).init();
    Ok(screen)
}

/// The form of a line.
struct Lines {
    brief: bool,
    form: Form,
    full: Format<Full>,
    begin: Instant,
}

/// What a program reads: the line of a progress that warns, or, below warnings,
/// one of the log.
#[derive(Serialize)]
struct Line<'a> {
    r#type: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    elapsed_ms: u128,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> std::fmt::Result {
        let colored = match self.form {
            Form::Json => {
                let mut message = String::new();
                context.field_format().format_fields(Writer::new(&mut message), event)?;
                let elapsed_ms = self.begin.elapsed().as_millis();
                let metadata = event.metadata();
                let (r#type, target) = match *metadata.level() {
                    tracing::Level::ERROR | tracing::Level::WARN => ("warning", None),
                    _ => ("log", Some(metadata.target())),
                };
                let line = Line { r#type, message: &message, target, elapsed_ms };
                return out.write_str(&wharf::render::json::line(&line));
            }
            Form::Text { .. } if !self.brief => return self.full.format_event(context, out, event),
            Form::Text { colored } => colored,
        };
        let palette = wharf::render::palette::Palette::of(colored);
        let (word, style) = if *event.metadata().level() == tracing::Level::ERROR {
            ("error:", palette.error)
        } else {
            ("warning:", palette.warning)
        };
        write!(out, "{style}{word}{style:#} ")?;
        context.field_format().format_fields(out.by_ref(), event)?;
        writeln!(out)
    }
}

impl MakeWriter<'_> for Screen {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.lines.get() {
            Some(lines) => lines.suspend(|| io::stderr().write(bytes)),
            None => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
