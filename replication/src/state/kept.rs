//! What is kept under names, in their order, and can be copied while it changes.
//!
//! A freeze shares the table; the first change after it copies the table once, which takes about a millisecond when it is full.
//! Owns: the order. Never: looks into a value. Called by: the tables that commands change.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::ops::Bound;

use quorate_wire::Name;

type Shared<V> = Arc<BTreeMap<Name, V>>;

/// See the module's description.
#[derive(Clone, Debug)]
pub(super) struct Kept<V> {
    table: Shared<V>,
    /// The table as it was at one moment, and the last name that has been copied of it.
    frozen: Option<(Shared<V>, Option<Name>)>,
}

impl<V> Default for Kept<V> {
    fn default() -> Self {
        Self {
            table: Arc::default(),
            frozen: None,
        }
    }
}

impl<V> Kept<V> {
    /// What there is.
    pub(super) fn all(&self) -> &BTreeMap<Name, V> {
        &self.table
    }

    /// What there is behind a name, or from the first on.
    pub(super) fn after(&self, name: Option<Name>) -> impl Iterator<Item = (&Name, &V)> {
        behind(&self.table, name)
    }

    /// From now on, [`Kept::copy`] shows what there is at this moment.
    pub(super) fn freeze(&mut self) {
        self.frozen = Some((Arc::clone(&self.table), None));
    }

    /// No copy is made any more.
    pub(super) fn thaw(&mut self) {
        self.frozen = None;
    }

    /// Shows up to `most` further entries of what was frozen, each once. Says whether more are left.
    pub(super) fn copy(&mut self, most: usize, visit: &mut dyn FnMut(&Name, &V)) -> bool {
        let Some((table, upto)) = &mut self.frozen else {
            return false;
        };
        let mut rest = behind(table, *upto);
        for (name, value) in rest.by_ref().take(most) {
            visit(name, value);
            *upto = Some(*name);
        }
        rest.next().is_some()
    }
}

impl<V: Clone> Kept<V> {
    /// What there is, to be changed.
    pub(super) fn change(&mut self) -> &mut BTreeMap<Name, V> {
        Arc::make_mut(&mut self.table)
    }
}

fn behind<V>(table: &BTreeMap<Name, V>, name: Option<Name>) -> impl Iterator<Item = (&Name, &V)> {
    let from = name.map_or(Bound::Unbounded, Bound::Excluded);
    table.range((from, Bound::Unbounded))
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn a_copy_is_of_one_moment_whatever_changes() {
        let name = |text: &str| Name::new(text).expect("it is a name");
        let mut kept = Kept::default();
        for text in ["a", "b", "c", "d"] {
            kept.change().insert(name(text), 1);
        }
        kept.freeze();
        let mut copied = Vec::new();
        let mut copy =
            |kept: &mut Kept<i32>| kept.copy(2, &mut |name, value| copied.push((*name, *value)));
        assert!(copy(&mut kept));
        kept.change().insert(name("aa"), 2);
        kept.change().insert(name("c"), 2);
        kept.change().remove(&name("d"));
        assert!(!copy(&mut kept));
        assert!(!copy(&mut kept), "it is over");
        assert_eq!(copied, ["a", "b", "c", "d"].map(|text| (name(text), 1)));
        kept.thaw();
        assert_eq!(kept.all().len(), 4);
        assert!(!kept.copy(2, &mut |_, _| unreachable!("it is not frozen")));
    }
}
