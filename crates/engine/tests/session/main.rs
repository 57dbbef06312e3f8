//! Sessions: what is saved is what goes on, bit for bit, whatever happened to the file.

mod answer;
mod any;
#[path = "../common/mod.rs"]
mod common;
mod conversation;
mod faults;
#[path = "../../../model/tests/common/mod.rs"]
mod models;
#[cfg(feature = "encryption")]
mod sealed;
mod support;

use happy_engine::model::{AdapterSet, KvError, KvType};
use happy_engine::session::{MemoryStorage, Mismatch, Saved, Session, SessionError, Turn};
use happy_engine::{AdapterFile, Cancel, Context, Engine, EngineError, LoadOptions};
use happy_gguf::GgufFile;
use std::sync::Arc;
use support::{Example, next_logits, options, prompt};

/// The engine of a recipe, with two sequences of 300 positions.
fn recipe_engine(file: &GgufFile, kv: KvType) -> Engine {
    let options = LoadOptions { context: Some(300), snapshot_bytes: 0, kv, ..options() };
    Engine::new(file.clone(), "recipe".to_owned(), &options).unwrap()
}

/// Three turns, of which the last one takes a part of the second back.
fn turns_with_a_step_back(context: &mut Context) -> (Vec<u8>, Vec<(usize, Vec<u32>)>) {
    let n_vocab = context.engine().model().n_vocab() as u32;
    let mut session = Session::create_in(MemoryStorage::default(), context, 0).unwrap();
    let mut turns = Vec::new();
    for (keep, more) in [(0, 70), (70, 20), (83, 60)] {
        let left = context.truncate(0, keep).unwrap();
        let ids = prompt(keep as u32 + more - left as u32, n_vocab, left as u32);
        context.prefill(0, &ids).unwrap();
        session.append(context, Turn::default()).unwrap();
        turns.push((session.bytes() as usize, next_logits(context)));
    }
    (session.into_storage().0, turns)
}

/// Models of each kind of memory: everything, windows, shared keys and values, latent attention, states of each kind.
const KINDS: [&str; 14] = [
    "llama",
    "gemma3",
    "gemma3n",
    "gemma4-e2b",
    "llama4-moe",
    "deepseek2-moe",
    "lfm2",
    "qwen35",
    "mamba",
    "mamba2",
    "rwkv7",
    "jamba",
    "kimi-linear-moe",
    "minimax-01-moe",
];

/// Those that are tried with quantized keys and values too.
const QUANTIZED: [&str; 3] = ["llama", "gemma3", "lfm2"];

/// Of each kind a model; if `HAPPY_SWEEP` is set, all recipes that are not encoders.
#[test]
fn every_architecture_goes_on_with_the_same_bits() {
    let all = happy_testkit::is_sweep();
    let mut recipes = if all { models::recipes::all() } else { models::recipes::named(&KINDS) };
    recipes.retain(|recipe| happy_model::arch::find(recipe["architecture"].as_str().unwrap()).is_some());
    let mut n = 0;
    let quantized = recipes.iter().filter(|recipe| QUANTIZED.iter().any(|name| recipe["name"] == *name));
    let each = recipes.iter().map(|recipe| (recipe, KvType::F16));
    for (recipe, kv) in each.chain(quantized.map(|recipe| (recipe, KvType::Q8_0))) {
        let file = models::recipes::build(recipe);
        let engine = recipe_engine(&file, kv);
        if engine.model().spec().whole_texts {
            continue;
        }
        let mut context = engine.context().unwrap();
        let (bytes, turns) = turns_with_a_step_back(&mut context);
        // As another process finds it: another engine, the turns so far, and some of the next one.
        let other = recipe_engine(&file, kv);
        let mut context = other.context().unwrap();
        for (i, (end, expected)) in turns.iter().enumerate() {
            let storage = MemoryStorage(bytes[..bytes.len().min(end + 100)].to_vec());
            let (session, restored) = Session::open_in(storage, &mut context, 0).unwrap();
            assert_eq!((session.turns(), restored.turns), (i as u64 + 1, i as u64 + 1));
            assert_eq!(session.tokens(), context.tokens(0));
            assert!(next_logits(&mut context) == *expected, "{}: turn {i}", recipe["name"]);
        }
        let tokens = context.tokens(0).to_vec();
        context.truncate(0, 0).unwrap();
        context.prefill(0, &tokens).unwrap();
        let fresh = next_logits(&mut context);
        assert!(turns.last().is_some_and(|(_, expected)| *expected == fresh), "{}: fresh", recipe["name"]);
        n += 1;
    }
    assert!(n >= KINDS.len() + QUANTIZED.len(), "{n} models");
}

/// A session is continued with the type of cache that wrote it, or not at all.
#[test]
fn another_type_of_cache_is_refused_by_name() {
    let recipe = models::recipes::named(&["llama"]).remove(0);
    let file = models::recipes::build(&recipe);
    for (wrote, found) in KvType::ALL.into_iter().flat_map(|wrote| KvType::ALL.map(|found| (wrote, found))) {
        let mut context = recipe_engine(&file, wrote).context().unwrap();
        context.prefill(0, &prompt(70, 60, 0)).unwrap();
        let mut session = Session::create_in(MemoryStorage::default(), &context, 0).unwrap();
        session.append(&context, Turn::default()).unwrap();
        let expected = next_logits(&mut context);
        let mut other = recipe_engine(&file, found).context().unwrap();
        other.prefill(0, &[5, 6, 7]).unwrap();
        let opened = Session::open_in(session.into_storage(), &mut other, 0);
        if wrote == found {
            assert!(opened.is_ok() && next_logits(&mut other) == expected, "{}", wrote.name());
            continue;
        }
        let mismatch = mismatch(opened);
        assert!(mismatch.can_replay() && other.tokens(0) == [5, 6, 7]);
        assert_eq!(mismatch, Mismatch::KvType { found: wrote, expected: found });
        let told = mismatch.to_string();
        assert!(told.contains(wrote.name()) && told.contains(found.name()), "{told}");
    }
}

/// A turn of 200 tokens costs its keys, values and one state.
#[test]
fn a_turn_costs_what_is_new_in_it() {
    for name in ["llama", "gemma3", "lfm2"] {
        let recipe = models::recipes::named(&[name]).remove(0);
        let engine = recipe_engine(&models::recipes::build(&recipe), KvType::F16);
        let n_vocab = engine.model().n_vocab() as u32;
        let mut context = engine.context().unwrap();
        context.prefill(0, &prompt(60, n_vocab, 0)).unwrap();
        let mut session = Session::create_in(MemoryStorage::default(), &context, 0).unwrap();
        session.append(&context, Turn::default()).unwrap();
        context.prefill(0, &prompt(200, n_vocab, 60)).unwrap();
        let before = session.bytes();
        let appended = session.append(&context, Turn::default()).unwrap();
        assert_eq!((appended.tokens, session.bytes() - before), (200, appended.bytes), "{name}");
        let most = (appended.kv_bytes + appended.state_bytes) * 11 / 10 + 64 * 12;
        assert!(appended.bytes <= most && appended.kv_bytes > 0, "{name}: {appended:?}");
        // A turn without anything new has an end alone.
        let nothing = session.append(&context, Turn::default()).unwrap();
        assert_eq!((nothing.bytes, nothing.kv_bytes, nothing.state_bytes), (64, 0, 0), "{name}");
    }
}

/// Every record boundary and its neighbors, and 2,000 offsets.
#[test]
fn a_file_that_ends_anywhere_gives_the_last_whole_turn() {
    let Example { bytes, turns, .. } = Example::new();
    let mut context = support::context();
    let offsets = support::boundaries(&bytes).into_iter().flat_map(|at| [at.saturating_sub(1), at, at + 1]);
    let spread = (0..2000usize).map(|i| i * 7919 % bytes.len());
    let mut seen = [0; 4];
    for cut in offsets.chain(spread).filter(|cut| *cut <= bytes.len()) {
        let whole = turns.iter().filter(|turn| turn.end <= cut).count();
        let opened = Session::open_in(MemoryStorage(bytes[..cut].to_vec()), &mut context, 0);
        let Ok((mut session, restored)) = opened else {
            let error = opened.map(|_| ()).unwrap_err();
            assert!(cut < support::boundaries(&bytes)[1], "cut at {cut}: {error}");
            assert!(matches!(error, EngineError::Session(SessionError::NotASession { .. })), "{error}");
            continue;
        };
        let end = whole.checked_sub(1).map_or(support::boundaries(&bytes)[1], |last| turns[last].end);
        assert_eq!((restored.turns, restored.lost_bytes), (whole as u64, (cut - end) as u64), "cut at {cut}");
        if let Some(turn) = whole.checked_sub(1).map(|last| &turns[last]) {
            assert!(
                context.tokens(0) == turn.tokens && next_logits(&mut context) == turn.logits,
                "cut at {cut}"
            );
        }
        seen[whole] += 1;
        // What was lost is written over by the next turn.
        if cut % 16 == 0 {
            session.append(&context, Turn::default()).unwrap();
            let mut again = session.into_storage();
            let saved = Saved::read_from(&mut again).unwrap();
            assert_eq!((saved.restored().turns, saved.restored().lost_bytes), (whole as u64 + 1, 0));
        }
    }
    assert!(seen.iter().all(|n| *n > 0), "{seen:?}");
}

/// No byte can change without being noticed: damage costs the turns from there on, nothing before.
#[test]
fn a_changed_byte_costs_its_turn_and_those_after_it() {
    let Example { bytes, turns, .. } = Example::new();
    let first = support::boundaries(&bytes)[1];
    let mut storage = MemoryStorage(bytes);
    for at in 0..storage.0.len() {
        storage.0[at] ^= 1 << (at % 8);
        let found = Saved::read_from(&mut storage);
        storage.0[at] ^= 1 << (at % 8);
        let whole = turns.iter().filter(|turn| turn.end <= at).count();
        match found {
            Ok(saved) => {
                let tokens = whole.checked_sub(1).map_or(&[][..], |last| &turns[last].tokens);
                assert!(at >= first && saved.tokens() == tokens, "byte {at}");
                assert_eq!(saved.restored().turns, whole as u64, "byte {at}");
            }
            Err(error) => assert!(at < first, "byte {at}: {error}"),
        }
    }
}

fn mismatch(
    found: Result<(Session<MemoryStorage>, happy_engine::session::Restored), EngineError>,
) -> Mismatch {
    match found.map(|_| ()) {
        Err(EngineError::Session(SessionError::Other { mismatch })) => mismatch,
        other => panic!("expected another origin: {other:?}"),
    }
}

#[test]
fn a_session_of_something_else_is_refused_by_name_and_changes_nothing() {
    let Example { bytes, turns, .. } = Example::new();
    let folder = common::Folder::new("session-other");
    let open = |context: &mut Context| {
        let before = prompt(9, 259, 3);
        context.truncate(0, 0).unwrap();
        context.prefill(0, &before).unwrap();
        let logits = next_logits(context);
        let found = Session::open_in(MemoryStorage(bytes.clone()), context, 0);
        assert!(context.tokens(0) == before && next_logits(context) == logits, "the sequence is as it was");
        found
    };
    let engine = |options: &LoadOptions, template, control: &[&str]| {
        common::engine_with(options, template, control).unwrap().context().unwrap()
    };
    let plain = options();
    let mut other = engine(&plain, "{{ messages }}", &support::CONTROL);
    assert!(matches!(mismatch(open(&mut other)), Mismatch::Model { .. }));
    let mut other = engine(&plain, support::TEMPLATE, &["<one>", "<two>"]);
    let found = mismatch(open(&mut other));
    assert!(matches!(found, Mismatch::Vocabulary { .. }) && !found.can_replay(), "{found}");
    let mut other =
        engine(&LoadOptions { kv: KvType::F32, ..plain.clone() }, support::TEMPLATE, &support::CONTROL);
    assert!(matches!(
        mismatch(open(&mut other)),
        Mismatch::KvType { found: KvType::F16, expected: KvType::F32 }
    ));
    // Its heads are 16 wide.
    let quantized = LoadOptions { kv: KvType::Q8_0, ..plain.clone() };
    let refused = common::engine_with(&quantized, support::TEMPLATE, &support::CONTROL).map(|_| ());
    assert!(
        matches!(refused, Err(EngineError::Kv(KvError::Quantized { architecture: "llama", layer: 0, .. }))),
        "{refused:?}"
    );
    let mut other =
        engine(&LoadOptions { context: Some(64), ..plain.clone() }, support::TEMPLATE, &support::CONTROL);
    let tokens = turns[2].tokens.len();
    assert!(matches!(
        open(&mut other),
        Err(EngineError::Session(SessionError::TooLong { tokens: n, context: 64 })) if n == tokens
    ));

    // Other weights under the same header: blocks of them are looked at, so that a large file need not be read.
    let mut weights = common::file_bytes(support::TEMPLATE, &support::CONTROL);
    weights.iter_mut().rev().take(40_000).step_by(4).for_each(|byte| *byte ^= 1);
    let file = GgufFile::from_shared(Arc::new(weights), &happy_gguf::Limits::default()).unwrap();
    let mut other = Engine::new(file, "x".to_owned(), &plain).unwrap().context().unwrap();
    assert!(matches!(mismatch(open(&mut other)), Mismatch::Model { .. }));

    let adapter = AdapterFile { path: support::adapter(&folder, 0.37), scale: 1.0 };
    let mut other = engine(
        &LoadOptions { adapters: vec![adapter.clone()], ..plain.clone() },
        support::TEMPLATE,
        &support::CONTROL,
    );
    assert!(matches!(mismatch(open(&mut other)), Mismatch::Adapters { found: 0, expected: 1 }));
    // Its tokens can be computed again, and are then a session of this sequence.
    let path = folder.file("chat.happy", &bytes);
    let (session, restored) = Session::replay(&path, &mut other, 0, &Cancel::new()).unwrap();
    assert_eq!((session.tokens(), restored.turns, session.turns()), (&turns[2].tokens[..], 3, 1));
    assert!(next_logits(&mut other) != turns[2].logits);
    let expected = next_logits(&mut other);
    drop(session);
    other.truncate(0, 0).unwrap();
    let (session, again) = Session::open(&path, &mut other, 0).unwrap();
    assert!(next_logits(&mut other) == expected && again.messages == restored.messages);
    // Another scale is another adapter; an adapter from elsewhere has no identity.
    let rescaled = AdapterFile { scale: 0.5, ..adapter.clone() };
    let set = other.engine().adapter_set(&[rescaled]).unwrap();
    other.set_adapters(0, set).unwrap();
    other.prefill(0, session.tokens()).unwrap();
    drop(session);
    let opened = Session::open(&path, &mut other, 0).map(|_| ());
    assert!(matches!(
        opened,
        Err(EngineError::Session(SessionError::Other { mismatch: Mismatch::Adapters { .. } }))
    ));
    let bytes = std::fs::read(&adapter.path).unwrap();
    let file = GgufFile::from_shared(Arc::new(bytes), &happy_gguf::Limits::default()).unwrap();
    let engine = other.engine().clone();
    let stranger = engine.model().adapter(&file, engine.kernels()).unwrap();
    let set = AdapterSet::new(&[(Arc::new(stranger), 1.0)]).unwrap();
    other.set_adapters(0, Some(Arc::new(set))).unwrap();
    let made = Session::create_in(MemoryStorage::default(), &other, 0).map(|_| ());
    assert!(matches!(made, Err(EngineError::Session(SessionError::UnknownAdapter))));
}

/// An activated adapter begins to work where it did, also if its tokens came again afterwards.
#[test]
fn the_place_of_an_invocation_is_restored() {
    let folder = common::Folder::new("session-alora");
    let path = support::adapter_with(&folder, 0.37, &[200, 201]);
    let adapters = vec![AdapterFile { path, scale: 1.0 }];
    let options = LoadOptions { adapters, ..options() };
    let context =
        || common::engine_with(&options, support::TEMPLATE, &support::CONTROL).unwrap().context().unwrap();
    let mut first = context();
    let ids = [&prompt(20, 200, 0)[..], &[200, 201], &prompt(10, 200, 5)].concat();
    first.prefill(0, &ids).unwrap();
    // As if the model had said them: no prompt begins here.
    first.step(0, 200).unwrap();
    first.step(0, 201).unwrap();
    let mut session = Session::create_in(MemoryStorage::default(), &first, 0).unwrap();
    session.append(&first, Turn::default()).unwrap();
    let expected = next_logits(&mut first);
    let mut second = context();
    Session::open_in(session.into_storage(), &mut second, 0).unwrap();
    assert!(next_logits(&mut second) == expected);
    for context in [&mut first, &mut second] {
        assert_eq!(context.keep_common_prefix(0, &[&ids[..], &[200, 201, 9]].concat()).unwrap(), 20);
    }
}

#[test]
fn values_that_are_not_finite_and_records_that_do_not_fit_are_refused() {
    let Example { bytes, .. } = Example::new();
    let boundaries = support::boundaries(&bytes);
    let kinds: Vec<u32> = boundaries.iter().filter_map(|at| support::kind(&bytes, *at)).collect();
    assert_eq!(kinds[..5], [1, 2, 3, 5, 7], "the first turn: tokens, rows, messages, end");
    let resealed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut changed = bytes.clone();
        change(&mut changed);
        support::reseal(&mut changed);
        Saved::read_from(&mut MemoryStorage(changed)).map(|_| ()).map_err(|error| error.to_string())
    };
    assert!(resealed(&|_| {}).is_ok());
    let rows = boundaries[2] + 64;
    let refused = |what: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let error = resealed(change).expect_err(what);
        assert!(error.contains(what), "{what}: {error}");
    };
    refused("not finite", &|b| b[rows + 1] = 0x7c);
    refused("unknown", &|b| b[boundaries[2] + 4] = 99);
    refused("second header", &|b| b[boundaries[2] + 4] = 1);
    refused("rows do not fit", &|b| b[boundaries[2] + 24] = 1);
    refused("rows do not fit", &|b| b[boundaries[2] + 16] = 1);
    refused("tokens do not follow", &|b| b[boundaries[1] + 16] = 1);
    refused("tokens do not follow", &|b| b[boundaries[2] + 4] = 2);
    refused("not whole", &|b| b[boundaries[4] + 16] = 2);
    refused("not whole", &|b| b[boundaries[4] + 24] = 2);
    refused("messages do not follow", &|b| b[boundaries[3] + 16] = 1);
    refused("messages are not text", &|b| b[boundaries[3] + 64] = 0);
    refused("a message is not one", &|b| b[boundaries[3] + 72] = b'[');
    // Rows that are missing are found before a sequence is touched.
    let mut context = support::context();
    let mut changed = bytes.clone();
    changed[boundaries[2] + 4] = 6;
    support::reseal(&mut changed);
    let found = Session::open_in(MemoryStorage(changed), &mut context, 0).map(|_| ());
    assert!(found.is_err_and(|error| error.to_string().contains("lacks rows")));
    assert_eq!(context.tokens(0), [0u32; 0]);
}

/// The number in `docs/numerics.md` is that of the code.
#[test]
fn the_version_of_the_numerics_is_the_documents() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/numerics.md");
    let document = std::fs::read_to_string(path).unwrap();
    let line = format!("Version of the numerics: {}.", happy_engine::model::NUMERICS_VERSION);
    assert!(document.contains(&line), "`{line}` is not in docs/numerics.md");
}
