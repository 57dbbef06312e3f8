//! The core by itself: what bindings rely on that a C program cannot show.

mod support;

use happy::Status;
use happy::core::CancelToken;
use happy::core::event::TurnEvent;
use happy::core::model::{Model, Place};
use happy::core::registry;
use happy::core::session::{Session, SessionSettings, TurnSettings};
use happy_engine::Form;
use happy_engine::LoadOptions;
use std::panic::{AssertUnwindSafe, catch_unwind};
use support::{Folder, TEMPLATE, tiny_model};

fn model() -> Model {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let folder = Folder::new(&format!("core-{number}"));
    let path = folder.file("tiny.gguf", tiny_model(Some(TEMPLATE)));
    // Read, for the file goes away.
    let options = LoadOptions { threads: Some(2), context: Some(128), mmap: false, ..LoadOptions::default() };
    Model::open(&Place::path(&path).unwrap(), &options, None, None).unwrap()
}

fn saying(text: &str) -> TurnSettings {
    TurnSettings { form: Some(Form::gbnf(format!("root ::= \"{text}\""))), ..TurnSettings::default() }
}

/// A panic in a call leaves a session that says so from then on, and that can be dropped; others go on.
#[test]
fn a_panic_poisons_its_session_only() {
    let model = model();
    let new = || Session::new(&model, &SessionSettings::default()).unwrap();
    let (broken, whole) = (new(), new());
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        broken.chat(Some("Hi"), &saying("Hello"), &mut |_| panic!("in a callback"))
    }));
    assert!(panicked.is_err());
    let failures = [
        broken.clear().unwrap_err(),
        broken.messages().unwrap_err(),
        broken.chat(Some("Hi"), &saying("Hello"), &mut |_| true).unwrap_err(),
        broken.start(Some("Hi"), &saying("Hello")).unwrap_err(),
        broken.next(&mut |_| ()).unwrap_err(),
        broken.stop().unwrap_err(),
    ];
    for failure in failures {
        assert_eq!(failure.status, Status::Internal);
        assert!(failure.message.contains("free it"), "{failure}");
    }
    drop(broken);
    let mut text = String::new();
    let done = whole.chat(Some("Hi"), &saying("Hello"), &mut |event| {
        if let TurnEvent::Text(more) = event {
            text.push_str(more);
        }
        true
    });
    assert!(done.is_ok());
    assert_eq!(text, "Hello");
}

/// As many handles as there can be: one more is an error, and freeing makes room.
#[test]
fn there_is_an_end_to_handles() {
    let mut handles = Vec::new();
    let failure = loop {
        match registry::insert(CancelToken::new()) {
            Ok(handle) => handles.push(handle),
            Err(failure) => break failure,
        }
    };
    assert_eq!(failure.status, Status::Memory);
    assert!(failure.message.contains(&handles.len().to_string()), "{failure}");
    for handle in handles {
        assert_eq!(registry::free::<CancelToken>(handle), Status::Ok);
    }
    let again = registry::insert(CancelToken::new()).unwrap();
    assert_eq!(registry::free::<CancelToken>(again), Status::Ok);
}

/// Events pulled and pushed are the same, and so are those of a turn after a turn that failed.
#[test]
fn pushed_and_pulled_events_agree() {
    let model = model();
    let texts = |events: &[TurnEvent]| {
        let text = |event: &TurnEvent| match event {
            TurnEvent::Done(done) => format!("done {}", done.finish.reason),
            event => format!("{event:?}"),
        };
        events.iter().map(text).collect::<Vec<_>>()
    };
    let settings = saying(
        "<think>hm</think>Hello<tool_call>{\\\"name\\\": \\\"f\\\", \\\"arguments\\\": {}}</tool_call>",
    );
    let session = || {
        let tools = Some(vec![serde_json::json!({"name": "f"})]);
        Session::new(&model, &SessionSettings { tools, ..SessionSettings::default() }).unwrap()
    };
    let mut pushed = Vec::new();
    let first = session();
    first
        .chat(Some("Hi"), &settings, &mut |event| {
            pushed.push(event.clone());
            true
        })
        .unwrap();
    let mut pulled = Vec::new();
    let second = session();
    let failed = second.start(Some(&"a".repeat(500)), &settings).unwrap_err();
    assert_eq!(failed.status, Status::ContextFull);
    second.start(Some("Hi"), &settings).unwrap();
    while !matches!(pulled.last(), Some(TurnEvent::Done(_))) {
        second.next(&mut |event| pulled.push(event.clone())).unwrap();
    }
    assert_eq!(texts(&pushed), texts(&pulled));
    assert_eq!(first.messages().unwrap(), second.messages().unwrap());
    assert!(pushed.iter().any(|event| matches!(event, TurnEvent::Call { name, .. } if name == "f")));
}
