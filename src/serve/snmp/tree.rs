//! The objects that are answered for, at one moment, and the questions about them.

use crate::wire::agentx::{Binding, Oid, Range, Value};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Bound;

/// Objects, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<Oid, Value>);

/// As many values at most go into one answer; the master asks again for more.
const MOST: usize = 500;

impl Tree {
    /// Puts an object in.
    pub fn put(&mut self, name: Oid, value: Value) {
        self.0.insert(name, value);
    }

    /// The rows of a table, `base` with the number of its entry.
    pub fn table(&mut self, base: &[u32]) -> Table<'_> {
        Table {
            tree: self,
            base: base.to_vec(),
        }
    }

    /// All objects.
    pub fn iter(&self) -> impl Iterator<Item = (&Oid, &Value)> {
        self.0.iter()
    }

    /// The value of one object. `subtrees` are those that are answered for.
    pub fn get(&self, name: &[u32]) -> Value {
        if let Some(value) = self.0.get(name) {
            return value.clone();
        }
        // Of a known column the instance is missing; a column is what is before the index, and a scalar ends in 0.
        let parent = name.split_last().map(|(_, parent)| parent).unwrap_or_default();
        let known = self.0.range(parent.to_vec()..).next();
        match known {
            Some((next, _)) if !parent.is_empty() && next.starts_with(parent) => Value::NoSuchInstance,
            _ => Value::NoSuchObject,
        }
    }

    /// The object after the start of a range.
    pub fn next(&self, range: &Range) -> Binding {
        let start = if range.include {
            Bound::Included(&range.start)
        } else {
            Bound::Excluded(&range.start)
        };
        let found = self.0.range::<Oid, _>((start, Bound::Unbounded)).next();
        match found {
            Some((name, value)) if range.end.is_empty() || *name < range.end => (name.clone(), value.clone()),
            _ => (range.start.clone(), Value::EndOfMibView),
        }
    }

    /// RFC 2741, 7.2.3.3.
    pub fn bulk(&self, non_repeaters: usize, repetitions: usize, ranges: &[Range]) -> Vec<Binding> {
        let (once, repeated) = ranges.split_at(non_repeaters.min(ranges.len()));
        let mut bindings: Vec<Binding> = once.iter().take(MOST).map(|range| self.next(range)).collect();
        let mut ranges = repeated.to_vec();
        for _ in 0..repetitions {
            let mut ended = true;
            for range in &mut ranges {
                if bindings.len() >= MOST {
                    return bindings;
                }
                let (name, value) = self.next(range);
                ended &= value == Value::EndOfMibView;
                range.start.clone_from(&name);
                range.include = false;
                bindings.push((name, value));
            }
            if ended {
                break;
            }
        }
        bindings
    }
}

/// Rows of one table.
pub struct Table<'a> {
    tree: &'a mut Tree,
    base: Oid,
}

impl Table<'_> {
    /// A column of a row.
    pub fn put(&mut self, column: u32, index: &[u32], value: Value) {
        let mut name = self.base.clone();
        name.push(column);
        name.extend(index);
        self.tree.put(name, value);
    }

    /// A column of a row, if it has a value.
    pub fn maybe(&mut self, column: u32, index: &[u32], value: Option<Value>) {
        if let Some(value) = value {
            self.put(column, index, value);
        }
    }
}

/// `yes` is 1, no is 2: TruthValue, and enabled and disabled in the same way.
pub fn truth(yes: bool) -> Value {
    Value::Integer(if yes { 1 } else { 2 })
}

/// InetAddressType: 1 IPv4, 2 IPv6.
pub fn address_type(address: &IpAddr) -> Value {
    Value::Integer(if address.is_ipv4() { 1 } else { 2 })
}

/// InetAddress.
pub fn address(address: &IpAddr) -> Value {
    Value::Octets(match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    })
}

/// A number that always fits in practice; the largest one where it does not.
pub fn gauge<N>(number: N) -> Value
where
    u32: TryFrom<N>,
{
    Value::Gauge32(u32::try_from(number).unwrap_or(u32::MAX))
}

/// A counter of 32 bits begins again at 0.
pub fn counter(number: u64) -> Value {
    Value::Counter32(u32::try_from(number & u64::from(u32::MAX)).unwrap_or_default())
}

/// An INTEGER; the largest one where it does not fit.
pub fn integer<N>(number: N) -> Value
where
    i32: TryFrom<N>,
{
    Value::Integer(i32::try_from(number).unwrap_or(i32::MAX))
}

/// The number of a row, from 1.
pub fn row(at: usize) -> u32 {
    u32::try_from(at + 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        let mut table = tree.table(&[1, 3, 9]);
        for index in 1..=3 {
            table.put(2, &[index], gauge(index));
            table.put(3, &[index], gauge(index * 10));
        }
        tree
    }

    fn range(start: &[u32], include: bool, end: &[u32]) -> Range {
        Range {
            start: start.to_vec(),
            include,
            end: end.to_vec(),
        }
    }

    #[test]
    fn one_object() {
        let tree = tree();
        assert_eq!(tree.get(&[1, 3, 9, 2, 3]), Value::Gauge32(3));
        assert_eq!(tree.get(&[1, 3, 9, 2, 4]), Value::NoSuchInstance);
        assert_eq!(tree.get(&[1, 3, 9, 4, 1]), Value::NoSuchObject);
        assert_eq!(tree.get(&[]), Value::NoSuchObject);
    }

    #[test]
    fn the_next_object_lies_in_the_range() {
        let tree = tree();
        let next = |start: &[u32], include, end: &[u32]| tree.next(&range(start, include, end));
        assert_eq!(next(&[1], false, &[]), (vec![1, 3, 9, 2, 1], Value::Gauge32(1)));
        assert_eq!(
            next(&[1, 3, 9, 2, 1], true, &[1, 4]),
            (vec![1, 3, 9, 2, 1], Value::Gauge32(1))
        );
        assert_eq!(
            next(&[1, 3, 9, 2, 1], false, &[1, 4]),
            (vec![1, 3, 9, 2, 2], Value::Gauge32(2))
        );
        assert_eq!(
            next(&[1, 3, 9, 2, 3], false, &[1, 3, 9, 3]),
            (vec![1, 3, 9, 2, 3], Value::EndOfMibView)
        );
        assert_eq!(
            next(&[1, 3, 9, 3, 3], false, &[]),
            (vec![1, 3, 9, 3, 3], Value::EndOfMibView)
        );
    }

    #[test]
    fn many_objects_at_once() {
        let tree = tree();
        let ranges = [
            range(&[1], false, &[1, 4]),
            range(&[1, 3, 9, 2], false, &[1, 3, 9, 3]),
            range(&[1, 3, 9, 3], false, &[1, 3, 9, 4]),
        ];
        let bindings = tree.bulk(1, 2, &ranges);
        let names: Vec<_> = bindings.iter().map(|(name, _)| name[3..].to_vec()).collect();
        assert_eq!(
            names,
            [vec![2, 1], vec![2, 1], vec![3, 1], vec![2, 2], vec![3, 2]]
        );
        // It ends when there is nothing more, and with so many values at most.
        assert_eq!(tree.bulk(0, 60_000, &ranges[1..]).len(), 8);
        let many = vec![range(&[1], false, &[]); 400];
        assert_eq!(tree.bulk(0, 60_000, &many).len(), MOST);
        assert_eq!(tree.bulk(9, 9, &[]), []);
    }
}
