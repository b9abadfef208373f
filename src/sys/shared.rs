//! Memory that two processes share: words that one writes and the other reads.

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// Words in shared memory; zero at first. Memory is used for those pages only that were written to.
#[derive(Debug)]
pub struct Words {
    start: NonNull<AtomicU64>,
    count: usize,
}

impl Words {
    /// Makes it; the descriptor is for the other process to [`Words::map`].
    pub fn create(name: &str, count: usize) -> io::Result<(Words, OwnedFd)> {
        let file = memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
        nix::unistd::ftruncate(
            &file,
            i64::try_from(count * size_of::<u64>()).map_err(io::Error::other)?,
        )?;
        // Nobody can make it shorter below us.
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        Ok((Words::map(&File::from(file.try_clone()?))?, file))
    }

    /// Maps what another process has made.
    pub fn map(file: &File) -> io::Result<Words> {
        let sealed = SealFlag::from_bits_truncate(fcntl(file, FcntlArg::F_GET_SEALS)?);
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let count = length / size_of::<u64>();
        let (Some(length), true) = (
            NonZeroUsize::new(count * size_of::<u64>()),
            sealed.contains(SealFlag::F_SEAL_SHRINK),
        ) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses; the file is as long as it and is sealed
        // against becoming shorter.
        let start = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, file, 0) }?;
        Ok(Words {
            start: start.cast(),
            count,
        })
    }

    /// The words.
    pub fn get(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, `count` words long and lives as long as self. Every pattern of
        // bits is a valid AtomicU64, and whoever else writes to the memory does so in whole words as well.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and no reference into it outlives self.
        let _ = unsafe { munmap(self.start.cast(), self.count * size_of::<u64>()) };
    }
}

// SAFETY: the memory belongs to no thread, and is reached through atomic words only.
unsafe impl Send for Words {}
// SAFETY: as above.
unsafe impl Sync for Words {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn what_one_writes_the_other_reads() {
        let (ours, file) = Words::create("test", 1024).unwrap();
        let file = File::from(file);
        let theirs = Words::map(&file).unwrap();
        ours.get()[1023].store(7, Ordering::Relaxed);
        assert_eq!(theirs.get().len(), 1024);
        assert_eq!(theirs.get()[1023].load(Ordering::Relaxed), 7);
        assert!(file.set_len(8).is_err(), "it is sealed");
        assert!(Words::map(&File::open("/dev/null").unwrap()).is_err());
    }
}
