//! A conversation that goes on in another process, and its file.

use crate::common::Folder;
use crate::support::{context, next_logits, turn};
use happy_engine::session::{Saved, Session, SessionError, Turn};
use happy_engine::{Conversation, EngineError, TrimLevel};
use std::io::ErrorKind;
use std::path::Path;

const TALK: [(&str, &str); 4] =
    [("hello", "Hi."), ("what?", "So <call>it</call> is."), ("and", "then"), ("well", "yes")];

fn with(conversation: &Conversation) -> Turn<'_> {
    Turn { conversation: Some(conversation), app: Some(b"{\"title\": 1}"), ..Turn::default() }
}

/// Tokens, reuse and logits after each turn are those of a process that was never interrupted.
#[test]
fn a_conversation_goes_on_as_if_nothing_had_happened() {
    let folder = Folder::new("session-goes-on");
    let path = folder.0.join("chat.happy");
    let mut whole = (context(), Conversation::new(context().engine()).unwrap());
    for (i, (question, answer)) in TALK.into_iter().enumerate() {
        let expected = turn(&mut whole.1, &mut whole.0, question, answer);
        let mut context = context();
        let mut conversation = Conversation::new(context.engine()).unwrap();
        let mut session = if i == 0 {
            Session::create(&path, &context, 0).unwrap()
        } else {
            let (session, restored) = Session::open(&path, &mut context, 0).unwrap();
            assert_eq!((restored.turns, restored.lost_bytes), (i as u64, 0));
            assert_eq!((restored.messages.len(), restored.app.as_slice()), (2 * i, &b"{\"title\": 1}"[..]));
            conversation.resume(&restored.messages).unwrap();
            session
        };
        let reused = turn(&mut conversation, &mut context, question, answer);
        assert_eq!((reused, context.tokens(0)), (expected, whole.0.tokens(0)), "turn {i}");
        assert_eq!(conversation.input().messages, whole.1.input().messages);
        session.append(&context, with(&conversation)).unwrap();
        assert!(next_logits(&mut context) == next_logits(&mut whole.0), "turn {i}");
    }
    assert_eq!(Saved::read(&path).unwrap().restored().messages.to_json().unwrap(), whole.1.input().messages);
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn an_edited_conversation_is_saved_and_compacted() {
    let folder = Folder::new("session-edit");
    let path = folder.0.join("chat.happy");
    let mut context = context();
    let mut conversation = Conversation::new(context.engine()).unwrap();
    let mut session = Session::create(&path, &context, 0).unwrap();
    for (question, answer) in TALK {
        turn(&mut conversation, &mut context, question, answer);
        session.append(&context, with(&conversation)).unwrap();
    }
    // The second question again, otherwise.
    conversation.input_mut().messages.truncate(2);
    turn(&mut conversation, &mut context, "who?", "Me.");
    let appended = session.append(&context, with(&conversation)).unwrap();
    let (tokens, logits) = (context.tokens(0).to_vec(), next_logits(&mut context));
    assert!(appended.tokens < tokens.len() && !session.is_wasteful());
    let before = session.bytes();
    session.compact(&context, Turn::default()).unwrap();
    assert!(session.bytes() < before && session.turns() == 1);
    assert_eq!(names(&folder.0), ["chat.happy"], "nothing is left beside it");
    // It goes on in the new file.
    turn(&mut conversation, &mut context, "so", "it goes");
    session.append(&context, with(&conversation)).unwrap();
    let after = (context.tokens(0).to_vec(), next_logits(&mut context));
    drop(session);
    let (session, restored) = Session::open(&path, &mut context, 0).unwrap();
    assert!((session.tokens(), next_logits(&mut context)) == (&after.0[..], after.1));
    assert_eq!(restored.messages.to_json().unwrap(), conversation.input().messages);
    assert!(restored.app == b"{\"title\": 1}" && tokens.len() > 20 && !logits.is_empty());
}

/// In the background an app gives the KV cache back; its session brings it again.
#[test]
fn a_context_that_was_trimmed_goes_on() {
    let folder = Folder::new("session-trim");
    let path = folder.0.join("chat.happy");
    let mut context = context();
    context.prefill(0, &[1, 70, 71, 72]).unwrap();
    let expected = next_logits(&mut context);
    let mut session = Session::create(&path, &context, 0).unwrap();
    session.append(&context, Turn::default()).unwrap();
    context.trim(TrimLevel::Snapshots).unwrap();
    assert!(context.tokens(0).len() == 4 && next_logits(&mut context) == expected);
    for _ in 0..100 {
        context.trim(TrimLevel::Sequences).unwrap();
        assert_eq!((context.kv_resident_bytes(), context.tokens(0)), (0, &[][..]));
        drop(session);
        (session, _) = Session::open(&path, &mut context, 0).unwrap();
        assert!(context.tokens(0).len() == 4 && next_logits(&mut context) == expected);
        // Or without opening it again.
        context.trim(TrimLevel::Sequences).unwrap();
        assert_eq!(session.reload(&mut context).unwrap().tokens, 4);
        assert!(next_logits(&mut context) == expected);
    }
}

#[test]
fn one_process_writes_a_file() {
    let folder = Folder::new("session-lock");
    let path = folder.0.join("chat.happy");
    let mut context = context();
    let mut session = Session::create(&path, &context, 0).unwrap();
    session.append(&context, Turn::default()).unwrap();
    let second = Session::open(&path, &mut context, 0).map(|_| ());
    assert!(
        matches!(&second, Err(EngineError::Session(SessionError::File { error, .. })) if error.kind() == ErrorKind::WouldBlock),
        "{second:?}"
    );
    // Reading does not wait; what a process that was killed left beside the file is in nobody's way.
    assert_eq!(Saved::read(&path).unwrap().restored().turns, 1);
    std::fs::write(folder.0.join(".chat.happy.happy-tmp"), b"left").unwrap();
    session.compact(&context, Turn::default()).unwrap();
    drop(session);
    assert!(Session::open(&path, &mut context, 0).is_ok());
    let missing = Session::open(folder.0.join("none.happy"), &mut context, 0).map(|_| ());
    assert!(missing.is_err_and(|error| error.to_string().contains("none.happy")));
}
