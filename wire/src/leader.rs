//! Who leads, and since which term: the hint that every refusal and greeting can carry.

use zerocopy::little_endian::{U32, U64};

use crate::{NodeId, Term};

/// A leader. Of two hints, that of the later term is the newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    /// The node.
    pub node: NodeId,
    /// The term that it leads in.
    pub term: Term,
}

impl Leader {
    /// A hint as formats carry it: both are zero if no leader is known.
    #[must_use]
    pub fn to_fields(hint: Option<Self>) -> (U32, U64) {
        let node = hint.map_or(0, |leader| leader.node.0);
        let term = hint.map_or(0, |leader| leader.term.0);
        (U32::new(node), U64::new(term))
    }

    /// The hint of a format's fields.
    #[must_use]
    pub fn from_fields(node: U32, term: U64) -> Option<Self> {
        (node.get() != 0).then_some(Self {
            node: NodeId(node.get()),
            term: Term(term.get()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Leader;
    use crate::{NodeId, Term};

    #[test]
    fn node_zero_is_nobody() {
        for hint in [
            None,
            Some(Leader {
                node: NodeId(2),
                term: Term(7),
            }),
        ] {
            let (node, term) = Leader::to_fields(hint);
            assert_eq!(Leader::from_fields(node, term), hint);
        }
        assert_eq!(Leader::from_fields(0.into(), 7.into()), None);
    }
}
