//! Handles signals that end a command which writes files: unfinished files are removed, then the process ends.

use crate::error::CliResult;

/// From now on SIGINT, SIGTERM and SIGHUP (on other systems, Ctrl-C and the like) remove incomplete files and end the
/// process with exit code 128 + the signal's number. Call it before any thread starts.
#[cfg(unix)]
pub(crate) fn remove_unfinished_files() -> CliResult {
    use nix::sys::signal::{SigSet, Signal};
    let ignored = ignored_signals();
    let wanted = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    let signals: SigSet = wanted.into_iter().filter(|s| ignored >> (*s as u32 - 1) & 1 == 0).collect();
    // A thread waits for the signals, so that no handler interrupts anything.
    let (begin, begun) = std::sync::mpsc::sync_channel(1);
    let wait = move || {
        let _ = begin.send(());
        if let Ok(signal) = signals.wait() {
            finish(128 + signal as i32);
        }
    };
    // Without that thread, the signals end the process as usual, and the next run removes what is left.
    if signals.thread_block().is_ok() {
        let thread = std::thread::Builder::new().stack_size(STACK);
        match has_room().then(|| thread.spawn(wait)) {
            // It has all of its memory before anything else asks for some.
            Some(Ok(_)) => drop(begun.recv()),
            Some(Err(_)) | None => drop(signals.thread_unblock()),
        }
    }
    Ok(())
}

/// Bytes of the stack of the thread that waits.
#[cfg(unix)]
const STACK: usize = 128 << 10;

/// Returns whether there is memory for that thread and its signal stack. Without it, the standard library would end the
/// process. Both are mappings, so this tries a mapping: the allocator might use memory that it has kept.
#[cfg(unix)]
fn has_room() -> bool {
    memmap2::MmapMut::map_anon(STACK + (256 << 10)).is_ok()
}

/// Returns bit `n - 1` for each signal `n` that the caller has made the process ignore, as `nohup` does.
#[cfg(unix)]
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// As above.
#[cfg(not(unix))]
pub(crate) fn remove_unfinished_files() -> CliResult {
    // 128 + SIGINT, as shells report it.
    ctrlc::set_handler(|| finish(130))
        .map_err(|e| crate::error::CliError::new(format!("cannot listen for Ctrl-C: {e}")))
}

fn finish(code: i32) -> ! {
    happy_gguf::abandon_writes();
    std::process::exit(code)
}
