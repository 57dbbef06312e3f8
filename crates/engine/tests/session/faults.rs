//! Disks that are full, writes that are short, processes that are killed.

use crate::common::Folder;
use crate::support::{self, context, next_logits, turn};
use happy_engine::session::{MemoryStorage, Session, SessionError, SessionPath, Storage, Turn};
use happy_engine::{Conversation, EngineError};
use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A disk that takes so many bytes more, and then a part of a write.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    bytes: MemoryStorage,
    room: usize,
    /// Whether it can be shortened when it is full.
    shortens: bool,
    syncs: bool,
}

#[cfg(feature = "encryption")]
impl Disk {
    /// A disk with these bytes and so much room.
    pub(crate) fn of(bytes: &[u8], room: usize, shortens: bool) -> Self {
        Self { bytes: MemoryStorage(bytes.to_vec()), room, shortens, syncs: true }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes.0
    }
}

impl Storage for Disk {
    fn len(&mut self) -> io::Result<u64> {
        self.bytes.len()
    }

    fn read_at(&mut self, offset: u64, to: &mut [u8]) -> io::Result<()> {
        self.bytes.read_at(offset, to)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let n = bytes.len().min(self.room);
        self.room -= n;
        self.bytes.write_at(offset, &bytes[..n])?;
        if n < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        if self.shortens { self.bytes.set_len(len) } else { Err(io::ErrorKind::ReadOnlyFilesystem.into()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.syncs { Ok(()) } else { Err(io::ErrorKind::Other.into()) }
    }
}

/// Where a disk may be full while a turn is written from byte `start` on: every boundary of its records and the bytes beside it, and some
/// between. If `HAPPY_SWEEP` is set, 2,000 random ones.
fn rooms(whole: &[u8], start: usize) -> Vec<usize> {
    let len = whole.len() - start;
    let at = support::boundaries(whole).into_iter().filter(|at| *at >= start).map(|at| at - start);
    let mut rooms: Vec<usize> = at.flat_map(|at| [at.saturating_sub(1), at, at + 1]).collect();
    let sweep = happy_testkit::is_sweep();
    let mut random = 1u64;
    for _ in 0..if sweep { 2_000 } else { 60 } {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        rooms.push((random >> 33) as usize % len);
    }
    rooms.retain(|room| *room < len);
    rooms
}

/// Wherever the disk is full, the turns before are whole, the session goes on once there is room, and nothing is lost. That is also what
/// a process leaves that is killed while it writes.
#[test]
fn a_full_disk_costs_the_turn_that_did_not_fit() {
    let mut context = context();
    let mut conversation = Conversation::new(context.engine()).unwrap();
    turn(&mut conversation, &mut context, "one", "Yes.");
    let disk = Disk { room: usize::MAX, shortens: true, syncs: true, ..Disk::default() };
    let mut session = Session::create_in(disk, &context, 0).unwrap();
    session.append(&context, Turn { conversation: Some(&conversation), ..Default::default() }).unwrap();
    let first = (context.tokens(0).to_vec(), session.into_storage().bytes, next_logits(&mut context));
    turn(&mut conversation, &mut context, "two", "No.");
    let second = (context.tokens(0).to_vec(), next_logits(&mut context));
    let with = Turn { conversation: Some(&conversation), ..Default::default() };
    let mut other = crate::support::context();
    let mut whole = {
        let disk = Disk { bytes: first.1.clone(), room: usize::MAX, shortens: true, syncs: true };
        Session::open_in(disk, &mut other, 0).unwrap().0
    };
    whole.append(&context, with).unwrap();
    let whole = whole.into_storage().bytes.0;
    for (failed, room) in rooms(&whole, first.1.0.len()).into_iter().enumerate() {
        let shortens = failed % 2 == 0;
        let disk = Disk { bytes: first.1.clone(), room, shortens, syncs: true };
        let (mut session, _) = Session::open_in(disk, &mut other, 0).unwrap();
        let error = session.append(&context, with).unwrap_err();
        assert!(
            matches!(&error, EngineError::Session(SessionError::Storage { what: "write", .. })),
            "{room}: {error}"
        );
        // What is on the disk now, if the process ends.
        let found = session.into_storage();
        let (_, restored) = Session::open_in(MemoryStorage(found.bytes.0.clone()), &mut other, 0).unwrap();
        assert_eq!((other.tokens(0), restored.turns), (&first.0[..], 1), "{room}");
        assert!(next_logits(&mut other) == first.2, "{room}");
        assert!(shortens || found.bytes.0 == whole[..first.1.0.len() + room], "{room}: what fits is written");
        assert!(!shortens || found.bytes == first.1, "what did not fit is taken back");
        // There is room again.
        let disk = Disk { room: usize::MAX, shortens: true, ..found };
        let (mut session, restored) = Session::open_in(disk, &mut other, 0).unwrap();
        assert!(restored.turns == 1 && (shortens || restored.lost_bytes > 0 || room == 0));
        session.append(&context, with).unwrap();
        let (_, restored) = Session::open_in(session.into_storage(), &mut other, 0).unwrap();
        assert_eq!((other.tokens(0), restored.turns), (&second.0[..], 2), "{room}");
        assert!(restored.lost_bytes == 0 && next_logits(&mut other) == second.1, "{room}");
    }
}

/// A turn that could not be synced is not counted as saved, and is written again.
#[test]
fn a_failed_sync_is_a_failed_turn() {
    let mut context = context();
    let disk = Disk { room: usize::MAX, shortens: true, syncs: true, ..Disk::default() };
    let mut session = Session::create_in(disk, &context, 0).unwrap();
    context.prefill(0, &[1, 70, 71]).unwrap();
    let mut disk = session.into_storage();
    disk.syncs = false;
    (session, _) = Session::open_in(disk, &mut crate::support::context(), 0).unwrap();
    let failed = session.append(&context, Turn::default());
    assert!(matches!(failed, Err(EngineError::Session(SessionError::Storage { what: "sync", .. }))));
    assert_eq!((session.turns(), session.tokens().len()), (0, 0));
    session.set_sync(false);
    session.append(&context, Turn::default()).unwrap();
    assert_eq!((session.turns(), session.tokens().len()), (1, 3));
}

/// Names the file that a child process writes to.
const CHILD: &str = "HAPPY_SESSION_TEST_FILE";
/// Set if the file is sealed.
const SEALED: &str = "HAPPY_SESSION_TEST_SEALED";

/// The file of the killed process, with its key.
fn place(path: impl AsRef<std::path::Path>, sealed: bool) -> SessionPath {
    let place = SessionPath::from(path);
    #[cfg(feature = "encryption")]
    let place = place.sealed(sealed.then(|| happy_engine::session::SessionKey::new([9; 32])));
    let _ = sealed;
    place
}

/// Turn `i` of a process that is killed: as many tokens as it says, all different from those of other turns.
fn tokens(turn: u64) -> Vec<u32> {
    (0..2 + turn % 3).map(|i| 3 + ((turn * 31 + i * 7) % 250) as u32).collect()
}

/// The child: appends turns until it is killed. Does nothing in the parent.
#[test]
fn child_writes_turns() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let mut context = context();
    let place = place(path, std::env::var_os(SEALED).is_some());
    let (mut session, _) = Session::open(place, &mut context, 0).unwrap();
    session.set_sync(false);
    // Far more than there is time for; without a parent that kills it, the child ends.
    for _ in 0..5_000 {
        let next = tokens(session.turns());
        if context.tokens(0).len() + next.len() > context.capacity() {
            context.truncate(0, 0).unwrap();
            session.compact(&context, Turn::default()).unwrap();
        }
        let next = tokens(session.turns());
        context.prefill(0, &next).unwrap();
        session.append(&context, Turn::default()).unwrap();
    }
}

/// Killed at any time, a process leaves whole turns: the tokens that they had, and the logits of a fresh run. Every second file is
/// sealed. If `HAPPY_SWEEP` is set, at 200 moments.
#[cfg(unix)]
#[test]
fn a_killed_process_leaves_whole_turns() {
    let sweep = happy_testkit::is_sweep();
    let folder = Folder::new("session-kill");
    let mut context = context();
    let files = [false, true].map(|sealed| {
        let path = folder.0.join(format!("{sealed}.happy"));
        drop(Session::create(place(&path, sealed), &context, 0).unwrap());
        path
    });
    let mut most = 0;
    for round in 0..if sweep { 200 } else { 12u64 } {
        let sealed = round % 2 == 1;
        let path = &files[usize::from(sealed)];
        let mut child = Command::new(std::env::current_exe().unwrap());
        if sealed {
            child.env(SEALED, "1");
        }
        let mut child = child
            .args(["--exact", "faults::child_writes_turns", "--test-threads=1"])
            .env(CHILD, path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Moments of all kinds, a millisecond and a part of one apart.
        std::thread::sleep(Duration::from_micros(40_000 + 7_300 * (round % 12) + 130 * (round / 12)));
        child.kill().unwrap();
        child.wait().unwrap();
        let (session, restored) = Session::open(place(path, sealed), &mut context, 0).unwrap();
        most = most.max(restored.turns);
        let expected: Vec<u32> = (0..restored.turns).flat_map(tokens).collect();
        // After a compaction the first turn is the empty one.
        let compacted: Vec<u32> = (1..restored.turns).flat_map(tokens).collect();
        assert!([&expected, &compacted].contains(&&session.tokens().to_vec()), "round {round}");
        if !session.tokens().is_empty() {
            let logits = next_logits(&mut context);
            context.truncate(0, 0).unwrap();
            context.prefill(0, session.tokens()).unwrap();
            assert!(next_logits(&mut context) == logits, "round {round}");
        }
    }
    assert!(most > 1, "the children wrote turns");
}
