//! What instances track.

use super::script::Command;
use std::time::Duration;

/// A reference to something tracked, with the weight it has there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracked {
    /// Name of the interface, script, file, process or BFD instance.
    pub name: String,
    /// Weight that applies here: own, else that of the object. 0 means FAULT when down.
    pub weight: i32,
    /// `reverse`.
    pub reverse: bool,
}

/// `vrrp_script`.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackScript {
    /// Name.
    pub name: String,
    /// `script` with `user`.
    pub command: Command,
    /// `interval`, 1 s by default.
    pub interval: Duration,
    /// `timeout`; zero when the file has none, then the interval applies.
    pub timeout: Duration,
    /// `weight`, -253 to 253.
    pub weight: i32,
    /// `weight N reverse`.
    pub reverse: bool,
    /// `rise`: successes in a row until up.
    pub rise: u32,
    /// `fall`: failures in a row until down.
    pub fall: u32,
    /// `init_fail`: down until the first success.
    pub init_fail: bool,
}

/// `track_file`.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackFile {
    /// Name.
    pub name: String,
    /// `file`.
    pub path: String,
    /// `weight`, -254 to 254; multiplied by the number in the file.
    pub weight: i32,
    /// `weight N reverse`.
    pub reverse: bool,
    /// `init_file`: the value to write, and whether over an existing file.
    pub init: Option<InitFile>,
}

/// `init_file [VALUE] [overwrite]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitFile {
    /// Value to write.
    pub value: i64,
    /// Also when the file exists.
    pub overwrite: bool,
}

/// `param_match`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ParamMatch {
    /// Parameters are not looked at.
    #[default]
    None,
    /// All parameters, exactly.
    Exact,
    /// The first ones, exactly.
    Partial,
    /// The first ones, and the last of them may go on.
    Initial,
}

/// `vrrp_track_process`.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackProcess {
    /// Name.
    pub name: String,
    /// `process`: name or path.
    pub process: String,
    /// Parameters of `process`.
    pub params: Vec<String>,
    /// `param_match`.
    pub param_match: ParamMatch,
    /// `weight`, -254 to 254.
    pub weight: i32,
    /// `weight N reverse`.
    pub reverse: bool,
    /// `quorum`: least number of processes.
    pub quorum: u32,
    /// `quorum_max`: largest number.
    pub quorum_max: Option<u32>,
    /// `fork_delay`.
    pub fork_delay: Duration,
    /// `terminate_delay`.
    pub terminate_delay: Duration,
    /// `full_command`.
    pub full_command: bool,
}
