//! Rows in memory, and what has become of them since they were read.

use std::collections::BTreeMap;

/// Rows of one table by their key.
#[derive(Debug)]
pub(crate) struct Shelf<K, V>(BTreeMap<K, Row<V>>);

#[derive(Debug)]
struct Row<V> {
    value: V,
    /// What the database has.
    stored: Option<V>,
    /// Whether it differs from what the database has.
    changed: bool,
}

// === impl Shelf ===

impl<K: Ord, V: Clone> Shelf<K, V> {
    /// Puts in what the database has.
    pub(crate) fn load(&mut self, key: K, value: V) {
        self.0.insert(key, Row { stored: Some(value.clone()), value, changed: false });
    }

    /// What the database has of a key, whatever commands have made of it.
    pub(crate) fn stored(&self, key: &K) -> Option<&V> {
        self.0.get(key).and_then(|row| row.stored.as_ref())
    }

    /// The row of a key.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key).map(|row| &row.value)
    }

    /// Puts in what a command made of it.
    pub(crate) fn put(&mut self, key: K, value: V) {
        let stored = self.0.get_mut(&key).and_then(|row| row.stored.take());
        self.0.insert(key, Row { value, stored, changed: true });
    }

    /// All rows, in the order of their keys.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.values().map(|row| &row.value)
    }

    /// What is to be inserted, in the order of the keys.
    pub(crate) fn inserted(&self) -> Vec<&V> {
        self.0.values().filter(|row| row.changed && row.stored.is_none()).map(|row| &row.value).collect()
    }

    /// What is to be updated, in the order of the keys.
    pub(crate) fn updated(&self) -> Vec<(&K, &V)> {
        self.0
            .iter()
            .filter(|(_, row)| row.changed && row.stored.is_some())
            .map(|(key, row)| (key, &row.value))
            .collect()
    }
}

impl<K, V> Default for Shelf<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}
