//! For processes that wait most of their lives.

use nix::sys::mman::{MmapAdvise, madvise};
use std::ffi::c_void;
use std::ptr::NonNull;
use std::time::Duration;

/// Nothing has happened for so long: it may be long until something does.
pub const QUIET: Duration = Duration::from_millis(200);

/// Gives free pages of the heaps back to the kernel. Each heap is locked meanwhile, 0.1 s for one of 40,000 real
/// servers: not to be called while somebody may be in a hurry.
pub fn let_go_of_heap() {
    // SAFETY: takes a number; glibc locks each heap while it looks at it.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Takes the program text out of this process's memory: it stays in the page cache, where the next instruction finds
/// it. What the start needed is not held any more while nothing happens.
pub fn let_go_of_text() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else {
        return;
    };
    for (start, length) in maps.lines().filter_map(text) {
        let Some(start) = NonNull::new(std::ptr::without_provenance_mut::<c_void>(start)) else {
            continue;
        };
        // SAFETY: the range is a private mapping of a file that has never been writable (`text`): what is dropped is
        // read from the file again, with the same bytes.
        let _ = unsafe { madvise(start, length, MmapAdvise::MADV_DONTNEED) };
    }
}

/// Start and length of a mapping of program text or constants.
fn text(line: &str) -> Option<(usize, usize)> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let (flags, offset) = (words.next()?, words.next()?);
    // The beginning of a program file holds constants. What is read-only behind its text was written to before.
    let never_written = flags == "r-xp" || flags == "r--p" && offset.bytes().all(|digit| digit == b'0');
    if !never_written || !words.nth(2)?.starts_with('/') {
        return None;
    }
    let start = usize::from_str_radix(start, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    Some((start, end.checked_sub(start)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_of_files() {
        let line = |flags: &str, name: &str| format!("1000-3000 {flags} 00002000 fe:01 1234   {name}");
        assert_eq!(text(&line("r-xp", "/usr/lib/libc.so.6")), Some((0x1000, 0x2000)));
        assert_eq!(
            text(&line("r--p", "/usr/lib/libc.so.6")),
            None,
            "it may be relocated"
        );
        let first = "1000-3000 r--p 00000000 fe:01 1234 /usr/lib/libc.so.6";
        assert_eq!(text(first), Some((0x1000, 0x2000)));
        assert_eq!(text(&line("rwxp", "/usr/lib/libc.so.6")), None);
        assert_eq!(text(&line("r-xp", "[vdso]")), None);
        assert_eq!(text(&line("r-xp", "")), None);
        let_go_of_text();
    }
}
