//! An answer within which the process is killed: another one goes on with the same text.

use crate::common::{self, Folder};
use crate::models;
use crate::support::{self, boundaries, prompt};
use happy_engine::chat::{Message, ReplyFormat};
use happy_engine::sampler::{MirostatVersion, Params};
use happy_engine::session::{MemoryStorage, Saved, Session, SessionError, Turn};
use happy_engine::{
    Cancel, Composed, Context, Conversation, ConversationOptions, Engine, EngineError, Event, FinishReason,
    Form, GenerateOptions, LoadOptions, PartialAnswer, Speculation,
};
use std::sync::LazyLock;

/// Layers that see everything, layers with a window of 32, layers with states.
const SHAPES: [&str; 3] = ["llama-plain", "gemma3-plain", "lfm2-plain"];

fn engine(shape: &str) -> Engine {
    // The corpus is read once.
    static RECIPES: LazyLock<Vec<serde_json::Value>> = LazyLock::new(|| models::recipes::named(&SHAPES));
    let mut recipe = RECIPES.iter().find(|recipe| recipe["name"] == shape).unwrap().clone();
    common::spell(&mut recipe);
    let options = LoadOptions { context: Some(96), draft_tokens: 7, ..support::options() };
    Engine::new(models::recipes::build(&recipe), shape.to_owned(), &options).unwrap()
}

/// A way to choose tokens.
type Choice = (&'static str, fn(&mut Params), Option<Form>);

fn choices() -> Vec<Choice> {
    let schema = r#"{"type": "object", "properties": {"n": {"type": "integer"}, "s": {"enum": ["xyz", "uu"]}},
        "required": ["n", "s"], "additionalProperties": false}"#;
    let gbnf = "root ::= ([a-e] [a-e ] [x-z]?){2,6} \"!\"";
    vec![
        ("greedy", |params| params.temperature = 0.0.into(), None),
        ("temperature", |_| {}, None),
        ("penalties", |params| (params.penalties.repeat, params.penalties.frequency) = (1.3, 0.2), None),
        ("mirostat", |params| params.mirostat.version = MirostatVersion::V1, None),
        ("mirostat 2", |params| params.mirostat.version = MirostatVersion::V2, None),
        ("adaptive-p", |params| params.adaptive_p.target = Some(0.2), None),
        ("dry", |params| (params.dry.multiplier, params.dry.allowed_length) = (2.0, 1), None),
        ("xtc", |params| (params.xtc.probability, params.xtc.threshold) = (0.5, 0.01), None),
        ("gbnf", |_| {}, Some(Form::gbnf(gbnf))),
        ("gbnf, greedy", |params| params.temperature = 0.0.into(), Some(Form::gbnf(gbnf))),
        ("json schema", |_| {}, Some(Form::json_schema(schema))),
    ]
}

/// The options of a choice. Text is drawn from flat logits, so that a wrong random number shows.
fn options((_, set, form): &Choice, seed: u64) -> GenerateOptions {
    let mut params = Params::default();
    (params.seed, params.temperature, params.top_k) = (seed, 3.0.into(), 0.into());
    (params.top_p, params.min_p) = (1.0.into(), 0.0.into());
    set(&mut params);
    GenerateOptions {
        sampler: params.build().unwrap(),
        max_tokens: Some(16),
        form: form.clone(),
        stop: vec!["QQ".to_owned()],
        ignore_end: form.is_none(),
        ..Default::default()
    }
}

/// What a generation tells: everything but how the prompt was read and what it took.
#[derive(Debug, Default, PartialEq)]
struct Told {
    tokens: Vec<u32>,
    events: Vec<Event>,
    reason: Option<FinishReason>,
}

/// Runs a generation. `each` is called with the number of its tokens and how far it has come: before it, after each token, and
/// at its end.
fn run(
    composed: Composed,
    context: &mut Context,
    from: Option<&PartialAnswer>,
    mut each: impl FnMut(usize, &PartialAnswer, &Context),
) -> Told {
    let prepared = match from {
        Some(answer) => composed.resume(context, 0, answer),
        None => composed.prepare(context, 0),
    };
    let (mut generation, mut told) = (prepared.unwrap().run(context), Told::default());
    each(0, &generation.partial_answer().unwrap(), generation.context());
    while let Some(event) = generation.next() {
        match event.unwrap() {
            Event::Prefill { .. } => {}
            Event::Token(token) => {
                told.tokens.push(token);
                each(told.tokens.len(), &generation.partial_answer().unwrap(), generation.context());
            }
            Event::Done(finish) => {
                assert_eq!(finish.generated_tokens, told.tokens.len());
                told.reason = Some(finish.reason);
            }
            event => told.events.push(event),
        }
    }
    each(usize::MAX, &generation.partial_answer().unwrap(), generation.context());
    told
}

/// The bytes of a session, where the turns of an answer end that was saved after every `n` tokens, and what they hold of it.
fn saved(
    composed: Composed,
    context: &mut Context,
    n: usize,
) -> (Vec<u8>, Vec<(usize, PartialAnswer)>, Told) {
    let mut session = Session::create_in(MemoryStorage::default(), context, 0).unwrap();
    let mut ends = Vec::new();
    let told = run(composed, context, None, |tokens, answer, context| {
        if tokens.is_multiple_of(n) || tokens == usize::MAX {
            session.append(context, Turn { answer: Some(answer), ..Turn::default() }).unwrap();
            ends.push((session.bytes() as usize, answer.clone()));
        }
    });
    (session.into_storage().0, ends, told)
}

/// Opens what is left of a session.
fn open(bytes: &[u8], context: &mut Context) -> (Session<MemoryStorage>, Option<PartialAnswer>) {
    let (session, restored) = Session::open_in(MemoryStorage(bytes.to_vec()), context, 0).unwrap();
    (session, restored.answer)
}

#[test]
fn an_answer_goes_on_with_the_same_text_wherever_it_was_cut_off() {
    let ids = prompt(40, 120, 0);
    for shape in SHAPES {
        let engine = engine(shape);
        let (mut first, mut second) = (engine.context().unwrap(), engine.context().unwrap());
        for (i, choice) in choices().iter().enumerate() {
            let compose = |seed| engine.compose(ids.clone(), options(choice, seed)).unwrap();
            // Guesses must not show, in either process.
            first.set_speculation((i % 2 == 1).then(Speculation::lookup)).unwrap();
            second.set_speculation((i % 3 == 1).then(Speculation::lookup)).unwrap();
            let expected = run(compose(5), &mut first, None, |_, _, _| {});
            first.truncate(0, 0).unwrap();
            let (bytes, ends, told) = saved(compose(5), &mut first, 3);
            assert!(told == expected && told.tokens.len() > 3, "{shape}, {}", choice.0);
            // A file ends anywhere around the ends of its records; each turn is resumed once.
            let mut resumed = 0;
            for cut in boundaries(&bytes).into_iter().flat_map(|at| [at - 1, at, at + 1]) {
                let left = &bytes[..cut.min(bytes.len())];
                let whole = ends.iter().filter(|(end, _)| *end <= left.len()).count();
                let Ok(log) = Saved::read_from(&mut MemoryStorage(left.to_vec())) else {
                    assert_eq!(whole, 0, "{shape}, {}: cut at {cut}", choice.0);
                    continue;
                };
                let last = whole.checked_sub(1).map(|last| &ends[last].1);
                let found = (log.restored().turns, log.restored().answer.as_ref());
                assert_eq!(found, (u64::from(whole > 0), last), "{shape}, {}: cut at {cut}", choice.0);
                if whole <= resumed {
                    continue;
                }
                resumed = whole;
                second.truncate(0, 0).unwrap();
                let (mut session, answer) = open(left, &mut second);
                let answer = answer.unwrap();
                assert_eq!(answer.prompt_tokens(), ids.len());
                assert!(expected.tokens.starts_with(answer.tokens()));
                let mut seen = 0;
                // Another seed: the saved random numbers count. It is cut off again, and saved.
                let again = run(compose(77), &mut second, Some(&answer), |n, answer, context| {
                    if n <= expected.tokens.len() {
                        assert!(answer.tokens().len() >= n && expected.tokens.starts_with(answer.tokens()));
                    }
                    if seen == 2 {
                        session.append(context, Turn { answer: Some(answer), ..Turn::default() }).unwrap();
                    }
                    seen += 1;
                });
                assert_eq!(again, expected, "{shape}, {}: turn {whole}", choice.0);
                // An answer that had ended is only told again.
                let held = second.tokens(0);
                assert!(first.tokens(0).starts_with(held), "{shape}, {}: turn {whole}", choice.0);
                assert!(whole == ends.len() || first.tokens(0) == held, "{shape}, {}", choice.0);
                let (_, answer) = open(&session.into_storage().0, &mut second);
                let again = run(compose(78), &mut second, answer.as_ref(), |_, _, _| {});
                assert_eq!(again, expected, "{shape}, {}: turn {whole}, twice", choice.0);
            }
            assert_eq!(resumed, ends.len(), "{shape}, {}", choice.0);
            first.truncate(0, 0).unwrap();
        }
    }
}

/// Thinking that was ended by force, in the middle of the mark too; calls; and text that fills the context.
#[test]
fn the_rest_of_the_time_to_think_is_saved() {
    let template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]<think>";
    let load = LoadOptions { context: Some(64), ..support::options() };
    let engine = common::engine_with(&load, template, &[]).unwrap();
    let settings =
        ConversationOptions { format: Some(ReplyFormat::Hermes), ..ConversationOptions::default() };
    let mut conversation = Conversation::with_options(&engine, settings).unwrap();
    conversation.push(Message::new("user", "what?"));
    let choice: Choice = ("thinking", |_| {}, Some(Form::gbnf("root ::= [a-z]{3,}")));
    for max_tokens in [Some(24), None] {
        let compose = |seed| {
            let options = GenerateOptions { max_tokens, ignore_end: false, ..options(&choice, seed) };
            conversation.compose(options).unwrap()
        };
        let (mut first, mut second) = (engine.context().unwrap(), engine.context().unwrap());
        let mut states = Vec::new();
        let expected = run(compose(5), &mut first, None, |_, answer, _| states.push(answer.clone()));
        let text = |told: &Told| {
            let reply = told.events.iter().find_map(|event| match event {
                Event::Reply(reply) => Some((reply.reasoning.clone(), reply.content.clone())),
                _ => None,
            });
            reply.unwrap()
        };
        let (reasoning, content) = text(&expected);
        assert!(!reasoning.is_empty() && content.len() >= 3, "{reasoning:?} {content:?}");
        assert!(states.len() > 20);
        for (i, state) in states.iter().enumerate() {
            second.truncate(0, 0).unwrap();
            let again = run(compose(6), &mut second, Some(state), |_, _, _| {});
            assert_eq!(again, expected, "after {i} tokens, {max_tokens:?}");
        }
    }
}

/// An app that goes to the background ends the answer, saves it, and goes on later.
#[test]
fn an_answer_that_was_cancelled_goes_on() {
    let ids = prompt(40, 120, 0);
    let choice = &choices()[1];
    let engine = engine("lfm2-plain");
    let (mut first, mut second) = (engine.context().unwrap(), engine.context().unwrap());
    let compose = |cancel: &Cancel| {
        let options = GenerateOptions { cancel: cancel.clone(), ..options(choice, 5) };
        engine.compose(ids.clone(), options).unwrap()
    };
    let never = Cancel::new();
    let expected = run(compose(&never), &mut second, None, |_, _, _| {});
    // Before the prompt was read, too.
    for after in [0, 1, 7] {
        let (cancel, mut last) = (Cancel::new(), None);
        first.truncate(0, 0).unwrap();
        let told = run(compose(&cancel), &mut first, None, |n, answer, _| {
            if n == after {
                cancel.cancel();
            }
            last = Some(answer.clone());
        });
        assert_eq!((told.tokens.len(), told.reason), (after, Some(FinishReason::Cancelled)));
        let last = last.unwrap();
        assert_eq!(last.tokens(), told.tokens);
        second.truncate(0, 0).unwrap();
        assert_eq!(run(compose(&never), &mut second, Some(&last), |_, _, _| {}), expected, "after {after}");
    }
}

/// What a turn within an answer costs: new rows, or with recurrent layers its numbers alone.
#[test]
fn a_turn_within_an_answer_costs_little() {
    for (shape, kv) in [("llama-plain", true), ("lfm2-plain", false)] {
        let engine = engine(shape);
        let mut context = engine.context().unwrap();
        let composed = engine.compose(prompt(40, 120, 0), options(&choices()[1], 5)).unwrap();
        let mut session = Session::create_in(MemoryStorage::default(), &context, 0).unwrap();
        let mut costs = Vec::new();
        run(composed, &mut context, None, |_, answer, context| {
            costs.push(session.append(context, Turn { answer: Some(answer), ..Turn::default() }).unwrap());
        });
        // Before the prompt there is nothing to keep; then its rows and state; then what is new.
        assert_eq!((costs[0].tokens, costs[1].tokens, costs[1].kv_bytes > 0), (0, 40, true), "{shape}");
        assert_eq!(costs[1].state_bytes > 0, !kv, "{shape}");
        for cost in &costs[2..] {
            assert_eq!((cost.state_bytes, cost.kv_bytes > 0), (0, kv && cost.tokens > 0), "{shape}");
            assert!(cost.bytes - cost.kv_bytes <= 64 * 9, "{shape}: {cost:?}");
        }
        // The end of the answer brings the rest, and no answer is unfinished any more.
        let last = session.append(&context, Turn::default()).unwrap();
        assert_eq!((last.tokens > 1, last.state_bytes > 0), (!kv, !kv), "{shape}: {last:?}");
        let mut other = engine.context().unwrap();
        let (session, answer) = open(&session.into_storage().0, &mut other);
        assert_eq!((session.tokens(), answer), (context.tokens(0), None));
        assert!(support::next_logits(&mut other) == support::next_logits(&mut context), "{shape}");
    }
}

#[test]
fn another_prompt_or_other_options_are_refused_and_change_nothing() {
    let ids = prompt(40, 120, 0);
    let engine = engine("llama-plain");
    let mut context = engine.context().unwrap();
    let choice = &choices()[1];
    let composed = engine.compose(ids.clone(), options(choice, 5)).unwrap();
    let (bytes, ends, _) = saved(composed, &mut context, 4);
    let (_, answer) = open(&bytes[..ends[2].0], &mut context);
    let (answer, held) = (answer.unwrap(), context.tokens(0).to_vec());
    let mut refused = |ids: Vec<u32>, options: GenerateOptions| {
        let resumed = engine.compose(ids, options).unwrap().resume(&mut context, 0, &answer);
        assert_eq!(context.tokens(0), held);
        match resumed.map(|_| ()) {
            Err(EngineError::Session(SessionError::OtherAnswer { what })) => what,
            other => panic!("expected another answer: {other:?}"),
        }
    };
    let other = |change: &dyn Fn(&mut GenerateOptions)| {
        let mut options = options(choice, 5);
        change(&mut options);
        options
    };
    assert_eq!(refused(ids[..39].to_vec(), other(&|_| {})), "prompt");
    assert_eq!(refused([&ids[..39], &[9]].concat(), other(&|_| {})), "prompt");
    assert_eq!(refused(ids.clone(), other(&|options| options.max_tokens = Some(17))), "set of options");
    assert_eq!(refused(ids.clone(), other(&|options| options.stop.clear())), "set of options");
    assert_eq!(refused(ids.clone(), options(&choices()[3], 5)), "set of options");

    // Records that do not fit.
    let at = boundaries(&bytes).into_iter().rfind(|at| support::kind(&bytes, *at) == Some(8)).unwrap();
    let mut message = |change: &dyn Fn(&mut [u8])| {
        let mut changed = bytes.clone();
        change(&mut changed[at..]);
        support::reseal(&mut changed);
        Session::open_in(MemoryStorage(changed), &mut context, 0).map(|_| ()).unwrap_err().to_string()
    };
    for word in [24, 32] {
        let error = message(&|record| record[word] += 1);
        assert!(error.contains("its answer does not have the size that it states"), "{error}");
    }
    let error = message(&|record| record[64 + 64 + 3] = 1);
    assert!(error.contains("tokens that the model does not have"), "{error}");
}

/// A conversation in a file, whose model changes between the two processes.
#[test]
fn a_conversation_is_resumed_from_its_file_and_by_replay() {
    let folder = Folder::new("session-answer");
    let path = folder.0.join("chat.happy");
    let mut context = support::context();
    let mut conversation = Conversation::new(context.engine()).unwrap();
    support::turn(&mut conversation, &mut context, "one?", "Yes.");
    conversation.push(Message::new("user", "and two?"));
    let choice: Choice = ("temperature", |_| {}, None);
    let mut session = Session::create(&path, &context, 0).unwrap();
    let composed = conversation.compose(options(&choice, 5)).unwrap();
    let expected = run(composed, &mut context, None, |n, answer, context| {
        if n == 5 {
            let turn = Turn { conversation: Some(&conversation), answer: Some(answer), ..Turn::default() };
            session.append(context, turn).unwrap();
        }
    });
    drop(session);
    for replay in [false, true] {
        let mut context = support::context();
        let opened = match replay {
            false => Session::open(&path, &mut context, 0),
            true => Session::replay(&path, &mut context, 0, &Cancel::new()),
        };
        let (session, restored) = opened.unwrap();
        let mut conversation = Conversation::new(context.engine()).unwrap();
        conversation.resume(&restored.messages).unwrap();
        let answer = restored.answer.unwrap();
        assert_eq!((answer.tokens().len(), restored.messages.len()), (5, 3));
        let composed = conversation.compose(options(&choice, 6)).unwrap();
        assert_eq!(run(composed, &mut context, Some(&answer), |_, _, _| {}), expected);
        let mut generation =
            conversation.resume_answer(&mut context, 0, options(&choice, 7), &answer).unwrap();
        assert!(generation.by_ref().all(|event| event.is_ok()));
        drop(session);
    }
    // The file that replay wrote has it, too.
    assert!(Saved::read(&path).unwrap().restored().answer.is_some());
}
