//! Commands that the configuration names.

/// Who runs a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// A command with its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Command {
    /// Words as the file has them, quotes and escapes resolved; the first is the program, with the path that
    /// its links lead to unless `use_symlink_paths` is set.
    pub argv: Vec<String>,
    /// The program as the file has it, where that is not the first word: what the program is called with. One
    /// that does what its name says (busybox, killall5) does it.
    pub called: Option<String>,
    /// Who runs it.
    pub identity: Identity,
    /// Needs a shell: the program has shell syntax in it.
    pub shell: bool,
    /// Refused by script security, or missing, or not executable: it is never run.
    pub disabled: bool,
    /// Writable by somebody other than root on its path (`Insecure = yes` in the dump).
    pub insecure: bool,
}

/// `notify_*`: a command run when something changes.
pub type NotifyScript = Command;

/// The notify scripts of an instance or a group. Each kind at most once: the first in the file wins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NotifyScripts {
    /// `notify_backup`.
    pub backup: Option<NotifyScript>,
    /// `notify_master`.
    pub master: Option<NotifyScript>,
    /// `notify_fault`.
    pub fault: Option<NotifyScript>,
    /// `notify_stop`.
    pub stop: Option<NotifyScript>,
    /// `notify_deleted`.
    pub deleted: Option<NotifyScript>,
    /// `notify`: called with INSTANCE|GROUP, name, state, priority.
    pub generic: Option<NotifyScript>,
    /// `notify_master_rx_lower_pri`.
    pub master_rx_lower_priority: Option<NotifyScript>,
}
