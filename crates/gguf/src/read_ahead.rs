//! Reading parts of a mapped file before they are used.

use std::ops::Range;

use crate::file::GgufFile;
use crate::large_pages::page_size;

/// Bytes that the system is asked for at once: a few milliseconds of a phone's flash memory, and a large page.
const STEP: usize = 2 << 20;

impl GgufFile {
    /// Reads a range of the mapped file into memory, waits until it is there, and returns how many bytes are.
    ///
    /// Meant for a thread that runs ahead of the one that computes: the file is read while something else is done, and the computation then
    /// finds its pages mapped. `go_on` is asked before every 2 MiB and ends the work with `false`.
    ///
    /// It returns 0 and does nothing if the file is not mapped, on systems other than Linux and Android, and before Linux 5.14. A file that
    /// was made shorter since, which the next access would tell by SIGBUS, ends the work without a signal.
    pub fn read_ahead(&self, range: Range<u64>, go_on: &mut dyn FnMut() -> bool) -> u64 {
        if !self.mapped {
            return 0;
        }
        let Some(page) = page_size() else { return 0 };
        let bytes = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        let Some(bytes) = bytes.and_then(|(start, end)| self.bytes().get(start..end)) else { return 0 };
        let read = bytes.chunks(STEP).take_while(|chunk| go_on() && populate(chunk, page));
        read.map(|chunk| chunk.len() as u64).sum()
    }
}

#[cfg(all(feature = "mmap", any(target_os = "linux", target_os = "android")))]
use crate::mmap::populate;

#[cfg(not(all(feature = "mmap", any(target_os = "linux", target_os = "android"))))]
fn populate(_: &[u8], _: std::num::NonZeroUsize) -> bool {
    false
}
