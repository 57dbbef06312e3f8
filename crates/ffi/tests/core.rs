//! The core by itself: what bindings rely on that a C program cannot show.

mod support;

use happy::Status;
use happy::core::CancelToken;
use happy::core::model::{Model, Place};
use happy::core::registry;
use happy::core::sampler::{Sampler, SamplerSettings};
use happy::core::session::{ConversationOptions, Session, SessionSettings, TurnSettings};
use happy_engine::chat::ToolChoice;
use happy_engine::{Event, FinishReason, Form, LoadOptions};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
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

fn model_with(template: &str) -> Model {
    let folder = Folder::new("core-template");
    let path = folder.file("tiny.gguf", tiny_model(Some(template)));
    let options = LoadOptions { threads: Some(1), context: Some(128), mmap: false, ..LoadOptions::default() };
    Model::open(&Place::path(&path).unwrap(), &options, None, None).unwrap()
}

/// A token that is raised while a prompt is rendered or tokenized or a schema is compiled ends the turn there. Each would fail
/// otherwise, so that a turn which does not hear of the token is seen; one that fails before it is raised gets more work.
#[test]
fn turns_are_cancelled_before_anything_is_computed() {
    type Work = fn(usize) -> (String, Option<Form>);
    let tokenizing: Work = |n| ("word ".repeat(n << 20), None);
    let rendering: Work = |n| ("go".to_owned(), Some(Form::gbnf(n.to_string())));
    let compiling: Work = |n| {
        let word = |i| format!("\"w{i}\": {{\"type\": \"string\", \"pattern\": \"^(a|b){{1,9}}{i}$\"}}");
        let words: Vec<String> = (0..n * 500).map(word).collect();
        let schema = format!(
            "{{\"properties\": {{{}}}, \"additionalProperties\": false, \"minProperties\": 999999}}",
            words.join(", ")
        );
        ("go".to_owned(), Some(Form::json_schema(schema)))
    };
    let endless = "{% for i in range(30000) %}{% for j in range(30000) %}{% endfor %}{% endfor %}";
    for (what, template, work) in [
        ("tokenizing", TEMPLATE, tokenizing),
        ("compiling", TEMPLATE, compiling),
        ("rendering", endless, rendering),
    ] {
        let model = model_with(template);
        let session = Session::new(&model, &SessionSettings::default()).unwrap();
        let mut ended = false;
        for n in [1, 2, 4, 8, 16] {
            let cancel = Arc::new(CancelToken::new());
            let (text, form) = work(n);
            let settings = TurnSettings { form, cancel: Some(cancel.clone()), ..TurnSettings::default() };
            let raiser = std::thread::spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(10));
                cancel.cancel();
            });
            let outcome = session.chat(Some(&text), &settings, &mut |_| true);
            raiser.join().unwrap();
            assert_eq!(session.messages().unwrap(), "[]", "{what}: {outcome:?}");
            if let Ok(done) = outcome {
                assert!(
                    done.reason == FinishReason::Cancelled && done.prompt_tokens == 0,
                    "{what}: {done:?}"
                );
                ended = true;
                break;
            }
        }
        assert!(ended, "{what} is not cancelled");
    }
}

/// `tool_choice` and `ignore_unused` reach the conversation; a text that cannot be completed is unfinished.
#[test]
fn tool_choices_and_unused_options() {
    let model = model();
    let tools = Some(vec![serde_json::json!({"name": "f"})]);
    // Greedy: a token chosen by chance may begin a call, which two tokens don't end.
    let mut greedy = SamplerSettings::default();
    greedy.params.temperature.t = 0.0;
    let sampler = Arc::new(Sampler::new(greedy).unwrap());
    let chat = |settings: &SessionSettings, choice: &str, max_tokens| {
        let session = Session::new(&model, settings).unwrap();
        let turn = TurnSettings {
            tool_choice: choice.parse().unwrap(),
            max_tokens,
            sampler: Some(sampler.clone()),
            ..TurnSettings::default()
        };
        session.chat(Some("Hi"), &turn, &mut |_| true)
    };
    // The template shows no tools.
    let strict = with_tools(tools.clone(), false);
    assert_eq!(chat(&strict, "auto", Some(2)).unwrap_err().status, Status::Template);
    let lenient = with_tools(tools, true);
    for (choice, unfinished) in [("auto", false), ("none", false), ("required", true), ("f", true)] {
        let done = chat(&lenient, choice, Some(2)).unwrap();
        let found = matches!(done.reason, FinishReason::Unfinished(_));
        assert_eq!(found, unfinished, "{choice}: {done:?}");
    }
    let failure = chat(&lenient, "g", None).unwrap_err();
    assert!(failure.status == Status::InvalidArgument && failure.message.contains("`g`"), "{failure}");
    let failure = chat(&SessionSettings::default(), "required", None).unwrap_err();
    assert_eq!(failure.status, Status::InvalidArgument, "{failure}");
}

fn with_tools(tools: Option<Vec<serde_json::Value>>, ignore_unused: bool) -> SessionSettings {
    let conversation = ConversationOptions { tools, ignore_unused, ..ConversationOptions::default() };
    SessionSettings { conversation, ..SessionSettings::default() }
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
        if let Event::Text(more) = event {
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
    let texts = |events: &[Event]| {
        let text = |event: &Event| match event {
            Event::Done(done) => format!("done {}", done.reason),
            event => format!("{event:?}"),
        };
        events.iter().map(text).collect::<Vec<_>>()
    };
    let settings = saying(
        "<think>hm</think>Hello<tool_call>{\\\"name\\\": \\\"f\\\", \\\"arguments\\\": {}}</tool_call>",
    );
    // The grammar writes the call.
    let settings = TurnSettings { tool_choice: ToolChoice::None, ..settings };
    let session = || {
        let tools = Some(vec![serde_json::json!({"name": "f"})]);
        // The template shows no tools.
        Session::new(&model, &with_tools(tools, true)).unwrap()
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
    while !matches!(pulled.last(), Some(Event::Done(_))) {
        second.next(&mut |event| pulled.push(event.clone())).unwrap();
    }
    assert_eq!(texts(&pushed), texts(&pulled));
    assert_eq!(first.messages().unwrap(), second.messages().unwrap());
    assert!(pushed.iter().any(|event| matches!(event, Event::Call { call, .. } if call.name == "f")));
}
