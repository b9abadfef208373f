//! The one table of keywords: parser, help, documentation and "did you mean" come from it.
//!
//! The rows are in `keywords.tsv` beside this file; [`Table::get`] finds one by a hash of block and
//! name.

use std::collections::HashMap;
use std::sync::OnceLock;

/// Part of the program that a keyword belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Area {
    /// `global_defs` and the keywords beside it.
    Global,
    /// VRRP.
    Vrrp,
    /// Virtual servers and checkers.
    Check,
    /// `vrrp_track_process`.
    Process,
    /// BFD.
    Bfd,
    /// The language itself: includes, conditions, definitions.
    Parser,
}

/// What follows a keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Arguments on the line.
    Value,
    /// A block of keywords.
    Block,
    /// A block of lines without keywords.
    Lines,
    /// A block of words without keywords: each word is an entry.
    Words,
    /// No keyword at the start of a line: a word inside one.
    Word,
}

/// One keyword in one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keyword {
    /// Part of the program.
    pub area: Area,
    /// Path of the block that it stands in: `(root)`, `virtual_server/real_server/HTTP_GET`.
    pub block: &'static str,
    /// Keyword.
    pub name: &'static str,
    /// Arguments, as in the table of the manual.
    pub arguments: &'static str,
    /// Default.
    pub default: &'static str,
    /// Meaning and limits.
    pub notes: &'static str,
    /// What follows it.
    pub kind: Kind,
    /// It has its effect in this version; else it is named once at start as not yet acted on.
    pub effective: bool,
    /// Number of the block that it stands in.
    pub block_id: BlockId,
    /// Number of the block that it opens (of kind [`Kind::Block`]).
    pub opens: Option<BlockId>,
}

/// A kind of block, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId(u16);

impl BlockId {
    /// The top of the file.
    pub const ROOT: BlockId = BlockId(0);
}

/// All keywords.
pub struct Table {
    rows: Vec<Keyword>,
    blocks: Vec<&'static str>,
    index: HashMap<(BlockId, &'static str), usize>,
}

static SOURCE: &str = include_str!("keywords.tsv");

impl Table {
    /// The table, made at first use.
    pub fn get() -> &'static Table {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(Table::build)
    }

    /// A keyword that may stand at the start of a line of a block.
    pub fn find(&'static self, block: BlockId, name: &str) -> Option<&'static Keyword> {
        // The key's life time is the table's; a look-up compares only the text.
        let key: (BlockId, &str) = (block, name);
        self.index.get(&key).and_then(|&row| self.rows.get(row))
    }

    /// All rows, in the order of the table.
    pub fn rows(&'static self) -> &'static [Keyword] {
        &self.rows
    }

    /// Path of a block.
    pub fn block_name(&self, block: BlockId) -> &'static str {
        self.blocks.get(usize::from(block.0)).copied().unwrap_or("(root)")
    }

    /// Keywords of a block, for suggestions.
    pub fn in_block(&'static self, block: BlockId) -> impl Iterator<Item = &'static Keyword> {
        self.rows
            .iter()
            .filter(move |k| k.block_id == block && k.kind != Kind::Word)
    }

    /// The keyword of a block that a misspelt word probably means.
    pub fn nearest(&'static self, block: BlockId, word: &str) -> Option<&'static Keyword> {
        let limit = (word.chars().count() / 3).clamp(1, 3);
        self.in_block(block)
            .map(|k| (distance(word, k.name, limit), k))
            .filter(|(d, _)| *d <= limit)
            .min_by_key(|(d, _)| *d)
            .map(|(_, k)| k)
    }

    /// The same among the keywords of all blocks.
    pub fn nearest_anywhere(&'static self, word: &str) -> Option<&'static Keyword> {
        let limit = (word.chars().count() / 3).clamp(1, 3);
        let rows = self.rows.iter().filter(|row| row.kind != Kind::Word);
        rows.map(|row| (distance(word, row.name, limit), row))
            .filter(|(distance, _)| *distance <= limit)
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, row)| row)
    }

    /// Blocks in which a word is a keyword, for "belongs into".
    pub fn elsewhere(&'static self, word: &str) -> impl Iterator<Item = &'static Keyword> {
        self.rows
            .iter()
            .filter(move |k| k.name == word && k.kind != Kind::Word)
    }

    fn build() -> Table {
        let mut rows = Vec::new();
        let mut blocks: Vec<&'static str> = vec!["(root)"];
        for text in SOURCE.lines().filter(|l| !l.starts_with('#')) {
            let mut columns = text.split('\t');
            let mut next = || columns.next().unwrap_or("");
            let (area, block, name, kind, effective) = (next(), next(), next(), next(), next());
            let number = blocks.iter().position(|b| *b == block).unwrap_or_else(|| {
                blocks.push(block);
                blocks.len() - 1
            });
            rows.push(Keyword {
                area: match area {
                    "vrrp" => Area::Vrrp,
                    "check" => Area::Check,
                    "process" => Area::Process,
                    "bfd" => Area::Bfd,
                    "parser" => Area::Parser,
                    _ => Area::Global,
                },
                block,
                name,
                kind: match kind {
                    "block" => Kind::Block,
                    "lines" => Kind::Lines,
                    "words" => Kind::Words,
                    "word" => Kind::Word,
                    _ => Kind::Value,
                },
                effective: effective == "yes",
                arguments: next(),
                default: next(),
                notes: next(),
                block_id: BlockId(u16::try_from(number).unwrap_or(0)),
                opens: None,
            });
        }
        let mut index = HashMap::with_capacity(rows.len());
        for (row, keyword) in rows.iter_mut().enumerate() {
            if keyword.kind == Kind::Block {
                let mut path = String::new();
                if keyword.block_id != BlockId::ROOT {
                    path.push_str(keyword.block);
                    path.push('/');
                }
                path.push_str(keyword.name);
                keyword.opens = blocks
                    .iter()
                    .position(|b| **b == path)
                    .and_then(|b| u16::try_from(b).ok())
                    .map(BlockId);
            }
            if keyword.kind != Kind::Word {
                index.insert((keyword.block_id, keyword.name), row);
            }
        }
        Table { rows, blocks, index }
    }
}

/// Number of letters to insert, drop, change or swap with their neighbour, up to a limit (beyond it, a
/// larger number).
pub(super) fn distance(a: &str, b: &str, limit: usize) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    if a.len().abs_diff(b.len()) > limit {
        return limit + 1;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let same = usize::from(!x.eq_ignore_ascii_case(y));
            let mut best = (above[j] + same).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_again() {
        let table = Table::get();
        for row in table.rows().iter().filter(|r| r.kind != Kind::Word) {
            let found = table.find(row.block_id, row.name).unwrap();
            assert_eq!((found.block, found.name), (row.block, row.name));
            assert_eq!(row.kind == Kind::Block, row.opens.is_some(), "{}", row.name);
        }
        assert!(table.find(BlockId::ROOT, "virtual_router_id").is_none());
    }

    #[test]
    fn names_come_once_in_a_block() {
        let table = Table::get();
        let keywords = table.rows().iter().filter(|r| r.kind != Kind::Word);
        assert_eq!(keywords.count(), table.index.len());
    }

    #[test]
    fn a_misspelt_keyword_has_a_neighbour() {
        let table = Table::get();
        let instance = table
            .find(BlockId::ROOT, "vrrp_instance")
            .and_then(|k| k.opens)
            .unwrap();
        let near = |word| table.nearest(instance, word).map(|k| k.name);
        assert_eq!(near("prioritty"), Some("priority"));
        assert_eq!(near("virtual_router_di"), Some("virtual_router_id"));
        assert_eq!(near("zzzzzz"), None);
    }
}
