//! Which events are read, and how fresh: the flags of whoever reads.
//!
//! Owns: the words for filters and freshness. Never: reads. Called by: `consume`.

use quorate_client::{Clause, Consistency, Filter, Offset, key_of};

use crate::Failure;

/// Which events are wanted. Those of one kind are alternatives; an event must fit both kinds.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Wanted {
    /// Only events whose topic begins so; may be given several times.
    #[arg(long, value_name = "TOPIC")]
    filter_topic: Vec<String>,
    /// Only events of this key: a number, or a text whose key it is; may be given several times.
    #[arg(long, value_name = "KEY", value_parser = key)]
    filter_key: Vec<u64>,
    /// Only events of these keys, both ends included; may be given several times.
    #[arg(long, value_name = "KEY..KEY", value_parser = keys)]
    filter_keys: Vec<(u64, u64)>,
}

impl Wanted {
    /// As the client takes it.
    pub(super) fn filter(&self) -> Result<Filter, Failure> {
        let topics = self.filter_topic.iter();
        let topics = topics.map(|topic| Clause::Topic(topic.as_bytes()));
        let keys = self.filter_key.iter().copied().map(Clause::Key);
        let ranges = self.filter_keys.iter();
        let ranges = ranges.map(|&(first, last)| Clause::Keys { first, last });
        let mut clauses = topics.chain(keys).chain(ranges);
        let filter = clauses.try_fold(Filter::default(), |filter, clause| filter.with(&clause));
        filter.map_err(|error| Failure::new(error.to_string()))
    }
}

/// A number, decimal or `0x` and hexadecimal, or the key of a text.
#[expect(
    clippy::unnecessary_wraps,
    reason = "clap's parsers may fail, and this one cannot"
)]
fn key(text: &str) -> Result<u64, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    Ok(number.unwrap_or_else(|_| key_of(text.as_bytes())))
}

fn keys(text: &str) -> Result<(u64, u64), String> {
    let (first, last) = text
        .split_once("..")
        .ok_or("a range of keys is KEY..KEY, both ends included")?;
    let range = (key(first)?, key(last)?);
    if range.0 > range.1 {
        return Err("the range ends before it begins".into());
    }
    Ok(range)
}

/// How fresh what is read must be: any, at-least:OFFSET, or linearizable.
pub(super) fn consistency(text: &str) -> Result<Consistency, String> {
    let offset = text.strip_prefix("at-least:").map(str::parse);
    match (text, offset) {
        ("any", _) => Ok(Consistency::Any),
        ("linearizable", _) => Ok(Consistency::Linearizable),
        (_, Some(Ok(offset))) => Ok(Consistency::AtLeast(Offset(offset))),
        _ => Err("it is any, at-least:OFFSET, or linearizable".into()),
    }
}

#[cfg(test)]
mod tests {
    use quorate_client::{Consistency, Event, Offset, key_of};

    use super::{Wanted, consistency, key, keys};

    #[test]
    fn keys_are_numbers_or_texts() {
        assert_eq!(key("12"), Ok(12));
        assert_eq!(key("0xff"), Ok(255));
        assert_eq!(key("N14228"), Ok(key_of(b"N14228")));
        assert_eq!(keys("1..0x10"), Ok((1, 16)));
        assert!(keys("2..1").is_err() && keys("2").is_err());
    }

    #[test]
    fn freshness_has_three_words() {
        assert_eq!(consistency("any"), Ok(Consistency::Any));
        let at_least = Consistency::AtLeast(Offset(7));
        assert_eq!(consistency("at-least:7"), Ok(at_least));
        assert_eq!(consistency("linearizable"), Ok(Consistency::Linearizable));
        for text in ["", "at-least", "at-least:x", "newest"] {
            assert!(consistency(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_event_must_fit_topic_and_key() {
        let wanted = Wanted {
            filter_topic: vec!["a/".into(), "b/".into()],
            filter_key: vec![7],
            filter_keys: vec![(10, 12)],
        };
        let filter = wanted.filter().expect("a few clauses");
        for (topic, key, fits) in [
            ("a/1", 7, true),
            ("b/", 11, true),
            ("c/", 7, false),
            ("a/", 8, false),
        ] {
            let event = Event {
                key,
                time: 0,
                topic: topic.as_bytes(),
                payload: b"",
                priority: 0,
            };
            assert_eq!(filter.matches(&event), fits, "{topic} {key}");
        }
        let many = Wanted {
            filter_key: (0..17).collect(),
            ..Wanted::default()
        };
        assert!(many.filter().is_err());
    }
}
