//! Sessions that are sealed with a key: what holds for a session holds for them, and nobody reads them without the key.

use crate::common::Folder;
use crate::faults::Disk;
use crate::support::{Turned, context, next_logits, three_turns, turn};
use happy_engine::session::{
    MemoryStorage, Saved, Sealed, Session, SessionError, SessionKey, SessionPath, Storage, Turn,
};
use happy_engine::{Cancel, Conversation, EngineError};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;

fn key() -> SessionKey {
    SessionKey::new(std::array::from_fn(|i| i as u8))
}

/// Bytes that a test looks at while a session has them.
#[derive(Clone, Debug, Default)]
struct Shared(Rc<RefCell<MemoryStorage>>);

impl Storage for Shared {
    fn len(&mut self) -> io::Result<u64> {
        self.0.borrow_mut().len()
    }

    fn read_at(&mut self, offset: u64, to: &mut [u8]) -> io::Result<()> {
        self.0.borrow_mut().read_at(offset, to)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.borrow_mut().write_at(offset, bytes)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.0.borrow_mut().set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The three turns of the example, sealed; their ends are places in the sealed bytes.
fn example() -> (Vec<u8>, Vec<Turned>) {
    let shared = Shared::default();
    let storage = Sealed::create(shared.clone(), &key());
    let (session, turns) = three_turns(storage, |_| shared.0.borrow().0.len());
    drop(session);
    (shared.0.take().0, turns)
}

fn opened(bytes: &[u8]) -> Result<Sealed<MemoryStorage>, SessionError> {
    Sealed::open(MemoryStorage(bytes.to_vec()), &key())
}

/// Where the boxes begin, and the end.
fn boxes(bytes: &[u8]) -> Vec<usize> {
    let (mut at, mut all) = (128, vec![128]);
    while let Some(header) = bytes.get(at..at + 64) {
        at += 64 + u64::from_le_bytes(header[8..16].try_into().unwrap()) as usize;
        all.push(at);
    }
    all
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn nothing_of_a_session_can_be_read_without_its_key() {
    let (sealed, turns) = example();
    let (session, _) = three_turns(MemoryStorage::default(), |session| session.bytes() as usize);
    let plain = session.into_storage().0;
    let ids: Vec<u8> = turns[0].tokens[..2].iter().flat_map(|id| id.to_le_bytes()).collect();
    for part in [&b"and two?"[..], b"one?", b"Yes.", b"hRec", b"user", &ids] {
        assert!(contains(&plain, part) && !contains(&sealed, part), "{part:?}");
    }
    // Twice the same is not the same: each box has its own nonce.
    assert!(example().0[64..] != sealed[64..]);
    let mut storage = opened(&sealed).unwrap();
    let mut whole = vec![0; storage.len().unwrap() as usize];
    storage.read_at(0, &mut whole).unwrap();
    assert!(whole == plain, "what is in the boxes is a session as it would be without a key");
}

#[test]
fn another_key_is_refused_and_touches_nothing() {
    let folder = Folder::new("session-key");
    let (sealed, turns) = example();
    let path = folder.file("chat.happy", &sealed);
    let mut context = context();
    context.prefill(0, &[1, 70, 71]).unwrap();
    let logits = next_logits(&mut context);
    let place = |key: Option<SessionKey>| SessionPath::from(&path).sealed(key);
    let other = SessionKey::new([7; 32]);
    let none = Session::open(&path, &mut context, 0).map(|_| ());
    assert!(matches!(none, Err(EngineError::Session(SessionError::Sealed))), "{none:?}");
    let wrong = Session::open(place(Some(other)), &mut context, 0).map(|_| ());
    assert!(matches!(wrong, Err(EngineError::Session(SessionError::WrongKey))), "{wrong:?}");
    assert!(context.tokens(0) == [1, 70, 71] && next_logits(&mut context) == logits);
    assert!(std::fs::read(&path).unwrap() == sealed, "the file is as it was");
    // With the key it goes on, grows, is compacted and computed again, and stays sealed.
    let (mut session, restored) = Session::open(place(Some(key())), &mut context, 0).unwrap();
    assert_eq!((restored.turns, context.tokens(0)), (3, &turns[2].tokens[..]));
    assert!(next_logits(&mut context) == turns[2].logits);
    session.append(&context, Turn::default()).unwrap();
    session.compact(&context, Turn::default()).unwrap();
    drop(session);
    let replayed = Session::replay(place(Some(key())), &mut context, 0, &Cancel::new()).map(|_| ());
    assert!(replayed.is_ok() && next_logits(&mut context) == turns[2].logits);
    let bytes = std::fs::read(&path).unwrap();
    assert!(!contains(&bytes, b"and two?") && !contains(&bytes, b"hRec"));
    assert_eq!(Saved::read(place(Some(key()))).unwrap().restored().messages.len(), 6);
    // A file that anybody may have written is not taken for the sealed one.
    let mut plain = Session::create(&path, &context, 0).unwrap();
    plain.append(&context, Turn::default()).unwrap();
    drop(plain);
    let unsealed = Session::open(place(Some(key())), &mut context, 0).map(|_| ());
    assert!(matches!(unsealed, Err(EngineError::Session(SessionError::NotSealed))), "{unsealed:?}");
}

/// As without a key: every border of a box and its neighbors, and 500 offsets.
#[test]
fn a_sealed_file_that_ends_anywhere_gives_the_last_whole_turn() {
    let (bytes, turns) = example();
    let mut context = context();
    let offsets = boxes(&bytes).into_iter().flat_map(|at| [at - 1, at, at + 1]);
    let mut seen = [0; 4];
    for cut in offsets.chain((0..500).map(|i| i * 7919 % bytes.len())).filter(|cut| *cut <= bytes.len()) {
        let whole = turns.iter().filter(|turn| turn.end <= cut).count();
        let storage = match opened(&bytes[..cut]) {
            Ok(storage) => storage,
            Err(error) => {
                assert!(
                    cut < 128 && matches!(error, SessionError::NotASession { .. }),
                    "cut at {cut}: {error}"
                );
                continue;
            }
        };
        let Ok((mut session, restored)) = Session::open_in(storage, &mut context, 0) else {
            assert!(cut < boxes(&bytes)[1], "cut at {cut}");
            continue;
        };
        let end = whole.checked_sub(1).map_or(boxes(&bytes)[1], |last| turns[last].end);
        assert_eq!((restored.turns, restored.lost_bytes), (whole as u64, (cut - end) as u64), "cut at {cut}");
        if let Some(last) = whole.checked_sub(1) {
            let same =
                context.tokens(0) == turns[last].tokens && next_logits(&mut context) == turns[last].logits;
            assert!(same, "cut at {cut}");
        }
        seen[whole] += 1;
        // What was lost is written over by the next turn.
        session.append(&context, Turn::default()).unwrap();
        let again = session.into_storage().into_inner().0;
        let saved = Saved::read_from(&mut opened(&again).unwrap()).unwrap();
        assert_eq!((saved.restored().turns, saved.restored().lost_bytes), (whole as u64 + 1, 0));
    }
    assert!(seen.iter().all(|n| *n > 0), "{seen:?}");
}

#[test]
fn a_changed_byte_of_a_sealed_file_costs_its_turn_and_those_after_it() {
    let (mut bytes, turns) = example();
    let borders = boxes(&bytes);
    let headers = borders.iter().flat_map(|at| *at..(at + 64).min(bytes.len()));
    let places: Vec<usize> = (0..128).chain(headers).chain((128..bytes.len()).step_by(97)).collect();
    for at in places {
        bytes[at] ^= 1 << (at % 8);
        let found = opened(&bytes).map_err(EngineError::from).and_then(|mut it| Saved::read_from(&mut it));
        bytes[at] ^= 1 << (at % 8);
        let whole = turns.iter().filter(|turn| turn.end <= at).count();
        match found {
            Ok(saved) => {
                let tokens = whole.checked_sub(1).map_or(&[][..], |last| &turns[last].tokens);
                assert!(at >= borders[1] && saved.tokens() == tokens, "byte {at}");
                assert_eq!(saved.restored().turns, whole as u64, "byte {at}");
            }
            Err(error) => assert!(at < borders[1], "byte {at}: {error}"),
        }
    }
}

/// A box counts in its place only, in its file only.
#[test]
fn boxes_that_were_moved_are_refused() {
    let (bytes, _) = example();
    let at = boxes(&bytes);
    assert_eq!(at.len(), 5, "the header and three turns");
    let part = |i: usize| &bytes[at[i]..at[i + 1]];
    let start = &bytes[..at[0]];
    let (other, _) = example();
    let variants: [(&str, Vec<u8>, u64); 6] = [
        ("as it was", [start, part(0), part(1), part(2), part(3)].concat(), 3),
        ("exchanged", [start, part(0), part(2), part(1), part(3)].concat(), 0),
        ("left out", [start, part(0), part(1), part(3)].concat(), 1),
        ("repeated", [start, part(0), part(1), part(1), part(2), part(3)].concat(), 1),
        ("of another file", [start, part(0), part(1), &other[at[2]..]].concat(), 1),
        ("of another file, all but the key's proof", [start, &other[at[0]..]].concat(), u64::MAX),
    ];
    for (what, bytes, turns) in variants {
        match Saved::read_from(&mut opened(&bytes).unwrap()) {
            Ok(saved) => assert_eq!(saved.restored().turns, turns, "{what}"),
            Err(error) => {
                assert!(turns == u64::MAX && error.to_string().contains("damaged"), "{what}: {error}")
            }
        }
    }
}

/// Wherever the disk is full, the turns before are whole, and the session goes on once there is room.
#[test]
fn a_full_disk_costs_the_sealed_turn_that_did_not_fit() {
    let (bytes, turns) = example();
    let first = &bytes[..turns[0].end];
    let mut context = context();
    let mut conversation = Conversation::new(context.engine()).unwrap();
    let (_, restored) = Session::open_in(opened(first).unwrap(), &mut context, 0).unwrap();
    conversation.resume(&restored.messages).unwrap();
    turn(&mut conversation, &mut context, "more?", "No.");
    let second = (context.tokens(0).to_vec(), next_logits(&mut context));
    let with = Turn { conversation: Some(&conversation), ..Default::default() };
    let mut other = crate::support::context();
    let (mut failed, mut room) = (0, 0);
    loop {
        let disk = Disk::of(first, room, room % 2 == 0);
        let (mut session, _) = Session::open_in(Sealed::open(disk, &key()).unwrap(), &mut other, 0).unwrap();
        if session.append(&context, with).is_ok() {
            break;
        }
        failed += 1;
        // What is on the disk now; and then there is room again.
        let found = session.into_storage().into_inner().into_bytes();
        let (mut session, restored) = Session::open_in(opened(&found).unwrap(), &mut other, 0).unwrap();
        assert!(restored.turns == 1 && other.tokens(0) == turns[0].tokens, "{room}");
        session.append(&context, with).unwrap();
        let bytes = session.into_storage().into_inner().0;
        let (_, restored) = Session::open_in(opened(&bytes).unwrap(), &mut other, 0).unwrap();
        assert_eq!((other.tokens(0), restored.turns, restored.lost_bytes), (&second.0[..], 2, 0), "{room}");
        assert!(next_logits(&mut other) == second.1, "{room}");
        room += 613;
    }
    assert!(failed > 4 && second.1 != turns[0].logits, "{failed} disks were full");
}

#[test]
fn keys_are_hexadecimal_digits() {
    let hex = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
    let (sealed, _) = example();
    assert!(Sealed::open(MemoryStorage(sealed), &SessionKey::from_hex(hex).unwrap()).is_ok());
    for wrong in ["", &hex[1..], &format!("+{}", &hex[1..]), &hex.replace('A', "g")] {
        assert!(SessionKey::from_hex(wrong).is_none(), "{wrong}");
    }
    assert_eq!(format!("{:?}", key()), "SessionKey(..)");
}
