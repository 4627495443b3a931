//! `wharf gc --scheduled`: its arguments. The names and the defaults of the
//! thresholds are containerd's; what they mean is said in its
//! docs/garbage-collection.md, "Garbage Collection configuration".

use super::changes::duration;
use clap::Args;
use std::time::Duration;

/// The greatest and the smallest share of the time.
const PAUSES: std::ops::RangeInclusive<f64> = 0.000_1..=0.5;

/// Whether to collect again and again, and when.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Collecting again and again")]
pub struct Schedule {
    /// Keep running, and collect whenever enough has happened; Ctrl-C ends it
    #[arg(long, conflicts_with_all = ["dry_run", "plan"])]
    pub scheduled: bool,

    /// The share of the time that collections may take
    #[arg(long, value_name = "SHARE", default_value = "0.02", requires = "scheduled", value_parser = share)]
    pub pause_threshold: f64,

    /// Collect after so many changes of names and labels; 0 is never
    #[arg(long, value_name = "N", default_value_t = 100, requires = "scheduled")]
    pub mutation_threshold: u32,

    /// Collect at once after so many removals; 0 is never, they wait for the share then
    #[arg(long, value_name = "N", default_value_t = 0, requires = "scheduled")]
    pub deletion_threshold: u32,

    /// How long to wait for more of the same before a collection
    #[arg(long, value_name = "DURATION", default_value = "0s", requires = "scheduled", value_parser = duration)]
    pub delay: Duration,

    /// How long to wait before the first collection
    #[arg(long, value_name = "DURATION", default_value = "100ms", requires = "scheduled", value_parser = duration)]
    pub startup_delay: Duration,
}

/// Reads a share of the time.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| PAUSES.contains(share));
    share.ok_or_else(|| format!("expected a share from {} to {}, as in `0.02` for 2%", PAUSES.start(), PAUSES.end()))
}
