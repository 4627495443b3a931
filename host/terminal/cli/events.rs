//! `wharf events`: its arguments.

use super::{TextFormat, filter, help};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;

/// The arguments of `wharf events`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf events [OPTIONS]", after_help = help::EVENTS, after_long_help = help::EVENTS_LONG)]
pub struct Events {
    /// Begin at this time, as in `10m` for ten minutes ago, or `2026-01-31T12:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = NonEmptyStringValueParser::new())]
    pub since: Option<String>,

    /// End at this time, and do not wait for more
    #[arg(long, value_name = "TIME", value_parser = NonEmptyStringValueParser::new())]
    pub until: Option<String>,

    /// Only events that match, as in `event=pull` or `image=alpine:*`
    #[arg(short, long = "filter", value_name = "KEY=VALUE", value_parser = filter)]
    pub filters: Vec<String>,

    /// How to print the events, one a line
    #[arg(long, value_enum, default_value_t)]
    pub format: TextFormat,
}
