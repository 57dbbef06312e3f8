//! The steps of writing at which a test makes the system fail or the process end. Outside the crate's own tests, this
//! module contains only the steps themselves.

use std::fs::File;
use std::io::{self, Write};

/// A step of writing a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Create,
    Lock,
    Write,
    Copy,
    Sync,
    Rename,
    SyncFolder,
    Remove,
}

/// Called before each step; does nothing outside tests.
#[cfg(not(test))]
pub(crate) fn at(_: Step) -> io::Result<()> {
    Ok(())
}

/// Writes all bytes. If a test makes the write fail, the first half is written.
pub(crate) fn write_all(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    #[cfg(test)]
    tests::half(file, bytes)?;
    at(Step::Write)?;
    file.write_all(bytes)
}

#[cfg(test)]
pub(crate) use tests::at;

#[cfg(all(test, not(target_os = "linux")))]
mod tests {
    use super::{File, Step, io};

    pub(crate) fn at(_: Step) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn half(_: &mut File, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::string::String;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::vec::Vec;
    use std::{fs, io};

    use super::{File, Step, Write};
    use crate::{
        EditMode, Edited, FileError, GgmlType, GgufFile, GgufSetFile, GgufWriter, SplitBy, WriteError,
        edit_file, recover_file,
    };

    type Hook = Box<dyn FnMut(Step) -> io::Result<()>>;

    thread_local! {
        static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
        static HALF: Cell<bool> = const { Cell::new(false) };
    }

    /// Tells a child process at which step to end.
    const DIES_AT: &str = "HAPPY_GGUF_TEST_DIES_AT";

    pub(crate) fn at(step: Step) -> io::Result<()> {
        static STEPS: AtomicU32 = AtomicU32::new(0);
        if let Some(last) = std::env::var(DIES_AT).ok().and_then(|n| n.parse::<u32>().ok())
            && STEPS.fetch_add(1, Ordering::Relaxed) + 1 == last
        {
            // Like a signal: no destructors run.
            std::process::abort();
        }
        // Steps that the hook itself performs are not reported to it.
        let Some(mut hook) = HOOK.take() else { return Ok(()) };
        let done = hook(step);
        HOOK.set(Some(hook));
        done
    }

    /// Writes half the bytes, for a write that is about to fail or to be the process's last.
    pub(super) fn half(file: &mut File, bytes: &[u8]) -> io::Result<()> {
        if HALF.get() || std::env::var_os(DIES_AT).is_some() {
            let at = io::Seek::stream_position(file)?;
            file.write_all(&bytes[..bytes.len() / 2])?;
            io::Seek::seek(file, io::SeekFrom::Start(at))?;
        }
        Ok(())
    }

    /// Runs `work` with `hook` at each step.
    fn with<T>(hook: impl FnMut(Step) -> io::Result<()> + 'static, work: impl FnOnce() -> T) -> T {
        HOOK.set(Some(Box::new(hook)));
        let done = work();
        HOOK.set(None);
        done
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("happy-gguf-fault-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn model(&self) -> PathBuf {
            self.0.join("m.gguf")
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }

        /// Restores the folder to the old model and nothing else.
        fn reset(&self) {
            self.names().iter().for_each(|name| fs::remove_file(self.0.join(name)).unwrap());
            fs::write(self.model(), model("a name").to_vec().unwrap()).unwrap();
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn model(name: &str) -> GgufWriter<'static> {
        let writer = GgufWriter::new().kv("general.name", name);
        writer.tensor("w", GgmlType::F32, &[100], vec![7; 400])
    }

    fn set(path: &Path, key: &'static str, value: &str) -> Result<Edited, WriteError> {
        edit_file(path, EditMode::InPlace, |edit| {
            edit.set(key, value);
            Ok(())
        })
    }

    const LONG: &str =
        "a long name that does not fit into the padding of the header, so that a new file is written";

    /// What is done to the model, and the name that the model has afterwards.
    type Action = (&'static str, fn(&Path) -> Result<(), WriteError>, &'static str);
    const ACTIONS: [Action; 3] = [
        ("in place", |path| set(path, "general.name", "B NAME").map(drop), "B NAME"),
        ("by a new file", |path| set(path, "general.name", LONG).map(drop), LONG),
        ("written anew", |path| model("another").write_file(path).map(drop), "another"),
    ];

    const MODEL: &[&str] = &["m.gguf"];

    /// Every error at every step: the file is the old or the new one, as the result says, and nothing remains beside
    /// it.
    #[test]
    fn an_error_at_each_step() {
        /// EIO, ENOSPC, EINVAL, ENOSYS, EOPNOTSUPP, EACCES, EPERM, EBADF, EINTR, ENOLCK of Linux.
        const CODES: [i32; 10] = [5, 28, 22, 38, 95, 13, 1, 9, 4, 37];
        let folder = Folder::new("errors");
        let mut failures = Vec::new();
        for (what, action, name) in ACTIONS {
            let new = model(name).to_vec().unwrap();
            for code in CODES {
                for nth in 1..40 {
                    folder.reset();
                    let old = fs::read(folder.model()).unwrap();
                    let count = std::rc::Rc::new(Cell::new(0));
                    let (seen, failed) = (count.clone(), std::rc::Rc::new(Cell::new(None)));
                    let failing = failed.clone();
                    let done = with(
                        move |step| {
                            seen.set(seen.get() + 1);
                            if seen.get() == nth {
                                failing.set(Some(step));
                                return Err(io::Error::from_raw_os_error(code));
                            }
                            Ok(())
                        },
                        || action(&folder.model()),
                    );
                    let Some(step) = failed.get() else { break };
                    let now = fs::read(folder.model()).unwrap();
                    let whole = if done.is_ok() { now == new } else { now == old };
                    let left = folder.names();
                    // A file that cannot be removed remains.
                    let clean = left == MODEL || step == Step::Remove;
                    let unsupported = [22, 38, 95, 13, 1, 9].contains(&code);
                    let goes_on = code == 4
                        || unsupported && matches!(step, Step::SyncFolder | Step::Sync | Step::Lock)
                        || code == 37 && step == Step::Lock;
                    if !whole || !clean || goes_on && done.is_err() {
                        failures
                            .push(format!("{what}, {step:?} ({nth}), {code}: {:?}, {left:?}", done.err()));
                    }
                    if GgufFile::read(folder.model()).is_err() || action(&folder.model()).is_err() {
                        failures.push(format!("{what}, {step:?} ({nth}), {code}: not usable afterwards"));
                    }
                    if folder.names() != MODEL {
                        failures.push(format!("{what}, {step:?} ({nth}), {code}: {:?}", folder.names()));
                    }
                }
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }

    /// File systems without fsync of folders, without fsync, and without locks.
    #[test]
    fn file_systems_that_cannot() {
        let folder = Folder::new("cannot");
        let mut failures = Vec::new();
        for (what, action, name) in ACTIONS {
            for (step, codes) in [
                (Step::SyncFolder, &[22, 38, 95, 13, 1, 9][..]),
                (Step::Sync, &[22, 38, 95]),
                (Step::Lock, &[37, 38, 95]),
            ] {
                for &code in codes {
                    folder.reset();
                    let hook =
                        move |s| if s == step { Err(io::Error::from_raw_os_error(code)) } else { Ok(()) };
                    let done = with(hook, || action(&folder.model()));
                    let new = model(name).to_vec().unwrap();
                    if done.is_err() || fs::read(folder.model()).unwrap() != new || folder.names() != MODEL {
                        failures.push(format!(
                            "{what}, {step:?} {code}: {:?} {:?}",
                            done.err(),
                            folder.names()
                        ));
                    }
                }
            }
        }
        // The same for the parts of a split model.
        folder.reset();
        let file = GgufFile::read(folder.model()).unwrap();
        let hook = |s| if s == Step::SyncFolder { Err(io::Error::from_raw_os_error(22)) } else { Ok(()) };
        let parts = with(hook, || {
            GgufWriter::write_split(&file.view().into(), SplitBy::Tensors(1), folder.0.join("p"))
        });
        assert_eq!(GgufSetFile::read(&parts.unwrap()[0]).unwrap().view().tensors().count(), 1);
        assert!(failures.is_empty(), "{failures:#?}");
    }

    /// The overwrite is cut short and the old bytes cannot be restored either: readers refuse the file until it is
    /// recovered.
    #[test]
    fn a_torn_header_is_refused_and_put_back() {
        let folder = Folder::new("torn");
        folder.reset();
        let (path, old) = (folder.model(), fs::read(folder.model()).unwrap());
        let mut writes = 0;
        let hook = move |step| {
            writes += u32::from(step == Step::Write);
            // The first write is that of the undo file.
            HALF.set(step != Step::Write && writes >= 1);
            if step == Step::Write && writes > 1 { Err(io::Error::from_raw_os_error(28)) } else { Ok(()) }
        };
        let error = with(hook, || ACTIONS[0].1(&path)).unwrap_err();
        HALF.set(false);
        assert!(error.to_string().contains("--recover"), "{error}");
        // Write half of the old bytes over half of the new ones, to tear the header.
        let mut torn = old.clone();
        let at = torn.windows(6).position(|w| w == b"a name").unwrap();
        torn[at..at + 3].copy_from_slice(b"B N");
        fs::write(&path, &torn).unwrap();
        let refused = [
            GgufFile::read(&path).err(),
            GgufSetFile::read(&path).err(),
            crate::GgufHeader::open(&path, &crate::Limits::default()).err(),
            crate::GgufSetReader::open(&path, &crate::Limits::default()).err(),
        ];
        for error in refused {
            assert!(matches!(error, Some(FileError::Torn { .. })), "{error:?}");
        }
        assert!(recover_file(&path).unwrap());
        assert!(fs::read(&path).unwrap() == old && folder.names() == MODEL);
        // An edit recovers the file by itself.
        ACTIONS[0].1(&path).unwrap();
        assert_eq!(folder.names(), MODEL);
    }

    /// Another editor moves a new file to the path before this one has its lock: neither change is lost.
    #[test]
    fn two_editors_lose_nothing() {
        let folder = Folder::new("two");
        for (key, value) in [("general.name", "B NAME"), ("general.name", LONG)] {
            folder.reset();
            let path = folder.model();
            let mut other = Some(path.clone());
            let hook = move |step| {
                if let (Step::Lock, Some(path)) = (step, other.take()) {
                    set(&path, "general.author", LONG).unwrap();
                }
                Ok(())
            };
            with(hook, || set(&path, key, value)).unwrap();
            let file = GgufFile::read(&path).unwrap();
            let view = file.view();
            assert_eq!(view.metadata().get_str("general.author").unwrap(), LONG);
            assert_eq!(view.metadata().get_str(key).unwrap(), value);
        }
        // A rewritten file stays locked until its writer is done with it.
        folder.reset();
        let path = folder.model();
        let hook = move |step| {
            if step == Step::SyncFolder {
                assert!(set(&path, "general.author", "x").is_err());
            }
            Ok(())
        };
        with(hook, || ACTIONS[1].1(&folder.model())).unwrap();
    }

    /// For [`death_at_each_step`]: performs the action it is told, and dies of it.
    #[test]
    fn child() {
        let Some(path) = std::env::var_os("HAPPY_GGUF_TEST_PATH") else { return };
        let action: usize = std::env::var("HAPPY_GGUF_TEST_ACTION").unwrap().parse().unwrap();
        ACTIONS[action].1(Path::new(&path)).unwrap();
    }

    /// The process ends at each step (a write half done): the file is whole or refused, and the next run cleans up.
    #[test]
    fn death_at_each_step() {
        // These targets run emulated, and a test cannot start its own program from inside the emulator.
        if cfg!(any(target_endian = "big", target_pointer_width = "32")) {
            return;
        }
        let folder = Folder::new("death");
        let (mut failures, mut torn) = (Vec::new(), 0);
        for (i, (what, action, name)) in ACTIONS.into_iter().enumerate() {
            let new = model(name).to_vec().unwrap();
            for nth in 1..40 {
                folder.reset();
                let old = fs::read(folder.model()).unwrap();
                let mut child = Command::new(std::env::current_exe().unwrap());
                child.args(["fault::tests::child", "--exact", "--nocapture"]);
                child.env(DIES_AT, nth.to_string()).env("HAPPY_GGUF_TEST_ACTION", i.to_string());
                let done = child.env("HAPPY_GGUF_TEST_PATH", folder.model()).output().unwrap();
                if done.status.success() {
                    break;
                }
                let now = fs::read(folder.model()).unwrap();
                let whole = now == old || now == new;
                torn += u32::from(!whole);
                match GgufFile::read(folder.model()) {
                    Ok(_) if whole => {}
                    Err(FileError::Torn { .. }) if !whole => {}
                    read => failures.push(format!("{what}, step {nth}: whole {whole}: {:?}", read.err())),
                }
                let recovered = recover_file(folder.model()).map_err(|e| e.to_string());
                let back = fs::read(folder.model()).unwrap();
                if recovered != Ok(!whole) || back != if whole { now } else { old } {
                    failures.push(format!("{what}, step {nth}: recover: {recovered:?}"));
                }
                let again = action(&folder.model()).map_err(|e| e.to_string());
                let edited = fs::read(folder.model()).unwrap() == new;
                // The next run that writes to the folder removes what the dead process left.
                let _ = model("x").write_file(folder.0.join("x.gguf"));
                if again.is_err() || !edited || folder.names() != ["m.gguf", "x.gguf"] {
                    failures.push(format!("{what}, step {nth}: again {again:?}: {:?}", folder.names()));
                }
            }
        }
        assert!(torn > 0, "no header was torn");
        assert!(failures.is_empty(), "{failures:#?}");
    }
}
