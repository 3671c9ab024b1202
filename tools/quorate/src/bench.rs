//! What measurements have shown: as tables, as JSON, as pages, and held against each other.
//!
//! ```text
//! run         one stretch of load: its report and its histogram
//! summary     the medians of several runs
//! report      the figures, as a table and as JSON
//! comparison  two sides' runs, and what they can show
//! plots       the page with charts
//! writes      what the nodes' disks had to do
//! outage      how long clusters took to go on
//! upkeep      what restarts and changes of the members cost
//! ```
mod comparison;
mod latency;
mod outage;
mod plots;
mod reading;
mod report;
mod summary;
mod upkeep;
mod writes;

pub(crate) use comparison::{Comparison, Side};
pub(crate) use latency::Quantiles;
pub(crate) use outage::{Outage, Outages};
pub(crate) use plots::{Plotted, page};
use reading::p99_ratio;
pub(crate) use reading::{Acks, Beside, Cold, Reading, Tail};
pub(crate) use report::{Cost, Host, Measures, Report, Setting, SlotJson, Workload};
pub(crate) use summary::{Run, Summary, sweep_table};
pub(crate) use upkeep::{Steps, Upkeep};
pub(crate) use writes::{Sighting, Writes};

#[cfg(test)]
pub(crate) use summary::sample::run;
