//! The arguments that commands which read lines share: what makes a line's key.

use std::num::NonZeroUsize;

use regex::bytes::Regex;

use crate::lines::KeyRule;

/// What makes a line's key.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Keys {
    /// The column that is the key, counted from 1: columns end at commas, except between double quotes.
    #[arg(long, value_name = "N", conflicts_with = "key_regex")]
    key_column: Option<NonZeroUsize>,
    /// What the key is made of: the first group of the first match, or all of the match.
    #[arg(long, value_name = "EXPRESSION")]
    key_regex: Option<Regex>,
}

impl Keys {
    /// The rule; without either of the two, all keys are 0.
    pub(super) fn rule(&self) -> KeyRule {
        match (self.key_column, &self.key_regex) {
            (Some(column), _) => KeyRule::Column(column),
            (None, Some(regex)) => KeyRule::Match(regex.clone()),
            (None, None) => KeyRule::None,
        }
    }
}
