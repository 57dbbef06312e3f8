//! Texts that are longer than the context, with the policy `shift`.

mod common;
#[path = "../../model/tests/common/mod.rs"]
mod models;

use common::Folder;
use happy_engine::chat::Message;
use happy_engine::model::{KvError, KvType};
use happy_engine::sampler::Params;
use happy_engine::session::{Saved, Session, SessionError, Turn};
use happy_engine::{
    Context, ContextPolicy, Conversation, ConversationOptions, Engine, EngineError, Event, Finish,
    FinishReason, GenerateOptions, LoadOptions, PrefixTree, Speculation,
};

const TEMPLATE: &str = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]";
/// Tokens of a text, which is longer than twice the context.
const LONG: usize = 700;

fn options() -> LoadOptions {
    LoadOptions { threads: Some(1), batch: 64, context: Some(256), sequences: 2, ..LoadOptions::default() }
}

fn context() -> Context {
    let options = LoadOptions { draft_tokens: 7, branches: 2, ..options() };
    common::engine_with(&options, TEMPLATE, &[]).unwrap().context().unwrap()
}

/// An endless text, of `n` tokens.
fn long(seed: u64, n: usize, shift: bool) -> GenerateOptions {
    let mut params = Params::default();
    (params.seed, params.penalties.repeat) = (seed, 1.1);
    let sampler = params.build().unwrap();
    GenerateOptions { sampler, max_tokens: Some(n), ignore_end: true, shift, ..GenerateOptions::default() }
}

fn run(context: &mut Context, prompt: &[u32], options: GenerateOptions) -> (Vec<u32>, Finish) {
    let mut tokens = Vec::new();
    for event in context.generate(0, prompt, options).unwrap() {
        match event.unwrap() {
            Event::Token(token) => tokens.push(token),
            Event::Done(finish) => return (tokens, finish),
            _ => {}
        }
    }
    panic!("the last event is Done")
}

fn prompt(n: u32, seed: u32) -> Vec<u32> {
    (0..n).map(|i| 3 + (seed + i * 7) % 250).collect()
}

#[test]
fn a_text_goes_on_past_the_context_and_tells_what_was_dropped() {
    let mut context = context();
    let prompt = prompt(90, 1);
    let (short, finish) = run(&mut context, &prompt, long(5, LONG, false));
    assert_eq!((finish.reason, finish.shifted_tokens), (FinishReason::ContextFull, 0));
    context.truncate(0, 0).unwrap();
    let (text, finish) = run(&mut context, &prompt, long(5, LONG, true));
    assert_eq!((text.len(), finish.reason), (LONG, FinishReason::Length));
    // Pages 1 and 2 of four go each time, which makes room for 128 tokens.
    let shifts = (prompt.len() + LONG - 1 - 256).div_ceil(128);
    assert_eq!(finish.shifted_tokens, 128 * shifts);
    // Until the context is full for the first time the text is that of every policy.
    assert!(text.starts_with(&short) && context.is_shifted(0) && context.tokens(0).len() <= 256);
    // The same again, with guesses and without.
    for guesses in [false, true] {
        let mut other = self::context();
        other.set_speculation(guesses.then(Speculation::lookup)).unwrap();
        let (again, finish) = run(&mut other, &prompt, long(5, LONG, true));
        assert!(again == text && finish.shifted_tokens == 128 * shifts, "guesses: {guesses}");
        assert!(other.tokens(0) == context.tokens(0));
    }
}

/// Models with windows and with states go on, too.
#[test]
fn windows_and_states_go_on() {
    for name in ["gemma3-plain", "lfm2-plain"] {
        let mut recipe = models::recipes::named(&[name]).remove(0);
        common::spell(&mut recipe);
        let options = LoadOptions { draft_tokens: 7, ..options() };
        let engine = Engine::new(models::recipes::build(&recipe), name.to_owned(), &options).unwrap();
        let ids: Vec<u32> = (0..40).map(|i| 3 + i * 7 % 117).collect();
        let (mut first, mut second) = (engine.context().unwrap(), engine.context().unwrap());
        second.set_speculation(Some(Speculation::lookup())).unwrap();
        let (text, finish) = run(&mut first, &ids, long(3, LONG, true));
        assert!(text.len() == LONG && finish.shifted_tokens >= 256, "{name}: {finish:?}");
        assert!(run(&mut second, &ids, long(3, LONG, true)).0 == text, "{name}");
    }
}

/// What was shifted is not what its tokens compute, so nothing takes it for that.
#[test]
fn nothing_is_reused_of_what_was_shifted() {
    let (mut context, mut fresh) = (context(), context());
    let prompt = prompt(90, 1);
    run(&mut context, &prompt, long(5, LONG, true));
    let held = context.tokens(0).to_vec();
    let again = [&held[..120], &[9]].concat();
    assert_eq!(context.reachable_prefix(0, &again).unwrap(), 64);
    let mut tree = PrefixTree::new(&context);
    assert!(!tree.keep(&mut context, 0).unwrap(), "it is no branch");
    assert_eq!(tree.held(&context, 1, &again).unwrap().common, 64);
    let mut bytes = Vec::new();
    assert!(matches!(context.export(0, &mut bytes), Err(EngineError::Kv(KvError::Import { .. }))));
    context.fork(0, 1).unwrap();
    assert!(context.is_shifted(1));
    assert_eq!(context.keep_common_prefix(1, &again).unwrap(), 64);
    assert!(!context.is_shifted(1));
    assert_eq!(tree.prepare(&mut context, 0, &again).unwrap(), 64);
    let logits = |logits: &[f32]| logits.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let found = logits(context.prefill(0, &again[64..]).unwrap());
    assert!(found == logits(fresh.prefill(0, &again).unwrap()) && !context.is_shifted(0));
}

/// The conversation goes on after a shifted answer, here and from its file.
#[test]
fn a_conversation_and_its_file_go_on() {
    let folder = Folder::new("shift");
    let path = folder.0.join("chat.happy");
    let mut context = context();
    let settings = ConversationOptions { policy: ContextPolicy::Shift, ..ConversationOptions::default() };
    let begin = |context: &Context| Conversation::with_options(context.engine(), settings.clone()).unwrap();
    let mut conversation = begin(&context);
    let mut session = Session::create(&path, &context, 0).unwrap();
    conversation.push(Message::new("user", "one?"));
    let (mut saved, mut reply, mut shifted) = (0, None, 0);
    let mut answer = conversation.answer(&mut context, 0, long(7, LONG, false)).unwrap();
    while let Some(event) = answer.next() {
        match event.unwrap() {
            Event::Reply(whole) => reply = Some(whole),
            Event::Done(finish) => shifted = finish.shifted_tokens,
            _ => {}
        }
        let before = session.bytes();
        session.follow(&answer, Some(&conversation)).unwrap();
        saved += usize::from(session.bytes() > before);
        if answer.shifted() > 0 {
            let unsaved = answer.partial_answer();
            assert!(matches!(unsaved, Err(EngineError::Session(SessionError::Shifted))), "{unsaved:?}");
        }
    }
    drop(answer);
    // Saved after token 1, 33, 65 .. of those before the first shift, once each.
    assert!((6..=8).contains(&saved) && shifted > 256, "{saved} turns, {shifted} tokens");
    conversation.push(reply.unwrap().message().unwrap());
    session.append(&context, Turn { conversation: Some(&conversation), ..Turn::default() }).unwrap();
    assert!(session.tokens().is_empty());
    drop(session);
    let found = Saved::read(&path).unwrap();
    assert_eq!((found.restored().messages.len(), found.restored().answer.is_none()), (2, true));
    let mut other = self::context();
    let (_, restored) = Session::open(&path, &mut other, 0).unwrap();
    let mut resumed = begin(&other);
    resumed.resume(&restored.messages).unwrap();
    for conversation in [&mut conversation, &mut resumed] {
        conversation.push(Message::new("user", "two?"));
    }
    // The long answer itself is left out of the prompt, and both compute the same.
    let next = |conversation: &Conversation, context: &mut Context| {
        let answer = conversation.answer(context, 0, long(8, 20, false)).unwrap();
        let dropped = answer.dropped();
        (
            answer.map(Result::unwrap).filter(|event| matches!(event, Event::Token(_))).collect::<Vec<_>>(),
            dropped,
        )
    };
    let (here, dropped) = next(&conversation, &mut context);
    assert_eq!((here.len(), dropped), (20, 2));
    assert!(next(&resumed, &mut other) == (here, dropped));
}

/// An app that writes a summary in the place of what has no room.
#[test]
fn an_app_may_summarize_what_overflows() {
    let mut context = context();
    let mut conversation = Conversation::new(context.engine()).unwrap();
    let mut summaries = 0;
    for i in 0..12 {
        conversation.push(Message::new("user", format!("{i:02} {}", "what? ".repeat(4))));
        let old = conversation.overflow().unwrap();
        if !old.is_empty() {
            assert!(
                old.start == 0
                    && old.len().is_multiple_of(2)
                    && old.end < conversation.input().messages.len()
            );
            let summary = [Message::new("user", "so far?").into(), Message::new("assistant", "a sum").into()];
            conversation.input_mut().messages.splice(old, summary);
            summaries += 1;
        }
        let options = common::script::saying("Yes.", &[]);
        let (_, finish, reply) = common::script::answer(&conversation, &mut context, options).unwrap();
        assert!(matches!(finish.reason, FinishReason::EndOfGeneration(_)), "turn {i}: {finish:?}");
        conversation.push(reply.message().unwrap());
    }
    assert!(summaries > 2, "{summaries}");
}

#[test]
fn models_and_caches_that_cannot_shift_are_refused_at_first() {
    let shifts = ConversationOptions { policy: ContextPolicy::Shift, ..ConversationOptions::default() };
    let refused = |found: Result<(), EngineError>, part: &str| match found {
        Err(EngineError::Kv(error @ KvError::Shift { .. })) => {
            assert!(error.to_string().contains(part), "{error}");
        }
        other => panic!("{part}: {other:?}"),
    };
    for (name, kv, part) in [("deepseek2-moe", KvType::F16, "latent"), ("llama-plain", KvType::Q8_0, "q8_0")]
    {
        let mut recipe = models::recipes::named(&[name]).remove(0);
        common::spell(&mut recipe);
        let metadata = recipe["metadata"].as_array_mut().unwrap();
        metadata.push(serde_json::json!(["tokenizer.chat_template", "string", TEMPLATE]));
        let options = LoadOptions { kv, ..options() };
        let engine = Engine::new(models::recipes::build(&recipe), name.to_owned(), &options).unwrap();
        refused(Conversation::with_options(&engine, shifts.clone()).map(|_| ()), part);
        let context = engine.context().unwrap();
        refused(context.prepare(0, &[5, 6], long(1, 9, true)).map(|_| ()), part);
    }
    // A context of less than two pages has nothing to drop.
    let options = LoadOptions { context: Some(100), ..options() };
    let mut small = common::engine_with(&options, TEMPLATE, &[]).unwrap().context().unwrap();
    let (text, finish) = run(&mut small, &[5, 6], long(1, LONG, true));
    assert_eq!((text.len(), finish.reason, finish.shifted_tokens), (99, FinishReason::ContextFull, 0));
}
