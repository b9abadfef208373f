//! The one table of keywords: parser, help, documentation and "did you mean" come from it.

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
}

/// What follows a keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Arguments on the line.
    Value,
    /// A block of keywords.
    Block,
    /// A block of lines, or of words, without keywords.
    List,
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
}
