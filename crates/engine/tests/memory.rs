//! Memory is asked for before it is spent: plans are made from headers, count everything, and what they refuse costs nothing.

mod common;
#[path = "../../model/tests/common/mod.rs"]
mod model;

use common::Folder;
use happy_engine::{
    Cancel, Engine, EngineError, GenerateOptions, LoadOptions, Source, Speculation, TrimLevel,
};
use happy_gguf::{FilePart, GgmlType, GgufFile, GgufWriter, OwnedArray};
use happy_testkit::{Meter, measured};
use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

#[global_allocator]
static METER: Meter = Meter;

const MIB: u64 = 1 << 20;

/// A model of one small layer and `n` tokens, with a header of about 26 bytes a token.
fn many_tokens(n: usize) -> Vec<u8> {
    const WIDTH: u64 = 32;
    let tokens: Vec<String> = (0..n).map(|i| format!("{i:x}")).collect();
    let mut file = GgufWriter::new()
        .kv("general.architecture", "llama")
        .kv("llama.context_length", 512u32)
        .kv("llama.embedding_length", WIDTH as u32)
        .kv("llama.block_count", 1u32)
        .kv("llama.feed_forward_length", WIDTH as u32)
        .kv("llama.attention.head_count", 1u32)
        .kv("llama.attention.layer_norm_rms_epsilon", 1e-5f32)
        .kv("tokenizer.ggml.model", "llama")
        .kv("tokenizer.ggml.tokens", OwnedArray::strings(tokens))
        .kv("tokenizer.ggml.scores", OwnedArray::packed(vec![0.0f32; n]))
        .kv("tokenizer.ggml.token_type", OwnedArray::packed(vec![1i32; n]))
        .tensor("token_embd.weight", GgmlType::Q4_0, &[WIDTH, n as u64], vec![0; 18 * n])
        .tensor("output_norm.weight", GgmlType::F32, &[WIDTH], vec![0; 4 * WIDTH as usize]);
    for part in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"] {
        let bytes = vec![0; 18 * WIDTH as usize];
        file = file.tensor(format!("blk.0.{part}.weight"), GgmlType::Q4_0, &[WIDTH, WIDTH], bytes);
    }
    for part in ["attn_norm", "ffn_norm"] {
        let bytes = vec![0; 4 * WIDTH as usize];
        file = file.tensor(format!("blk.0.{part}.weight"), GgmlType::F32, &[WIDTH], bytes);
    }
    file.to_vec().unwrap()
}

/// F3: a file was read as a whole before it was refused, and its tokenizer built before it was counted.
#[test]
fn refused_loads_take_no_memory() {
    let folder = Folder::new("refused");
    let small = folder.file("small.gguf", &common::file_bytes(common::TEMPLATE, &[]));
    let large = folder.file("large.gguf", &many_tokens(1_000_000));
    let mut failures = Vec::new();
    for path in [&small, &large] {
        let header = GgufFile::read(path).unwrap().view().header_end();
        let file = File::open(path).unwrap();
        let name = path.to_str().unwrap();
        let parts = [FilePart::new(&file, name, 0, None).unwrap()];
        let sources = [Source::Path(path), Source::Parts(&parts)];
        for (source, mmap) in sources.iter().flat_map(|source| [(source, true), (source, false)]) {
            let options = LoadOptions {
                memory_budget: Some(1 << 10),
                threads: Some(2),
                mmap,
                ..LoadOptions::default()
            };
            // An allocation that grows counts twice here; `reading_a_header_takes_its_size` knows better.
            let most = 4 * MIB + if mmap { 0 } else { 2 * header };
            let mut go_on = |_| ControlFlow::Continue(());
            let (opened, load) = measured(|| Engine::open_from(source, &options, &mut go_on).map(|_| ()));
            let (planned, plan) = measured(|| Engine::plan_of(source, &options).map(|_| ()));
            for (what, result, peak) in [("open", opened, load.peak), ("plan", planned, plan.peak)] {
                if !matches!(result, Err(EngineError::OverBudget(_))) {
                    failures.push(format!("{source:?}, {what}: {result:?}"));
                }
                if peak > most {
                    failures.push(format!("{source:?}, mmap {mmap}, {what}: {peak} bytes, at most {most}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// The name of the variable that makes the child of [`reading_a_header_takes_its_size`].
#[cfg(target_os = "linux")]
const CHILD: &str = "HAPPY_TEST_REFUSED_MODEL";

/// The same by what the system counts, in a process with nothing else in it.
#[cfg(target_os = "linux")]
#[test]
fn reading_a_header_takes_its_size() {
    if let Some(path) = std::env::var_os(CHILD) {
        let path = PathBuf::from(path);
        let options = LoadOptions { memory_budget: Some(1 << 10), mmap: false, ..LoadOptions::default() };
        // Once with a small file, so that the pages of code that a load touches are there before.
        let small = Engine::open(path.with_file_name("small.gguf"), &options).map(|_| ());
        assert!(matches!(small, Err(EngineError::OverBudget(_))), "{small:?}");
        let before = happy_engine::memory::usage().unwrap();
        let result = Engine::open(&path, &options).map(|_| ());
        let peak = happy_engine::memory::usage().unwrap().peak_bytes;
        assert!(matches!(result, Err(EngineError::OverBudget(_))), "{result:?}");
        println!("took {} bytes", peak.saturating_sub(before.anon_bytes + before.file_bytes));
        return;
    }
    let folder = Folder::new("header");
    folder.file("small.gguf", &many_tokens(1_000));
    let path = folder.file("large.gguf", &many_tokens(1_000_000));
    let header = GgufFile::read(&path).unwrap().view().header_end();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "reading_a_header_takes_its_size", "--nocapture"]).env(CHILD, &path);
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let took = text.lines().find_map(|line| line.split("took ").nth(1)?.strip_suffix(" bytes")?.parse().ok());
    let took: u64 = took.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    assert!(took <= header + 4 * MIB, "{took} bytes for a header of {header}");
}

/// The models that are at hand: made here, of the recipes, real ones.
fn models(folder: &Folder) -> Vec<PathBuf> {
    let mut all = vec![
        folder.file("tiny.gguf", &common::file_bytes(common::TEMPLATE, &["<|a|>", "<|b|>"])),
        folder.file("tokens.gguf", &many_tokens(20_000)),
        folder.file("experts.gguf", model::many_experts(10, 512).bytes()),
    ];
    for recipe in model::recipes::some() {
        let name = format!("{}.gguf", recipe["name"].as_str().unwrap());
        all.push(folder.file(&name, model::recipes::build(&recipe).bytes()));
    }
    all.extend(common::real_models());
    all
}

#[test]
fn plans_count_what_loading_and_running_take() {
    /// Messages, paths, metadata of the file: far below the reserve of every plan.
    const SLACK: u64 = 256 << 10;
    let folder = Folder::new("counted");
    let mut failures = Vec::new();
    for path in models(&folder) {
        for mmap in [true, false] {
            let options = LoadOptions {
                context: Some(96),
                sequences: 2,
                threads: Some(2),
                batch: 32,
                draft_tokens: 7,
                memory_budget: Some(u64::MAX),
                mmap,
                ..LoadOptions::default()
            };
            let (engine, open) = measured(|| Engine::open(&path, &options));
            let Ok(engine) = engine else { continue };
            let plan = *engine.plan();
            assert_eq!(Engine::plan_of(&Source::Path(&path), &options).unwrap(), plan, "{}", path.display());
            let weights = if mmap { 0 } else { plan.weight_bytes };
            let mut check = |what: &str, found: u64, planned: u64| {
                if found > planned + SLACK {
                    let path = path.display();
                    failures.push(format!("{path}, mmap {mmap}: {what}: {found} bytes, planned {planned}"));
                }
            };
            check("open", open.peak, weights + plan.table_bytes + plan.tokenizer_bytes);
            check("kept", open.held, weights + plan.table_bytes + plan.tokenizer_bytes);
            let (context, made) = measured(|| {
                let mut context = engine.context().unwrap();
                context.set_speculation(Some(Speculation::lookup())).unwrap();
                context
            });
            check("context", made.peak, plan.kv_bytes + plan.scratch_bytes);
            let mut context = context;
            // A real model takes seconds for this, and the same either way.
            let sequences = if mmap || plan.weight_bytes < 50 * MIB { 0..2 } else { 0..0 };
            let ((), run) = measured(|| {
                let n_vocab = engine.model().n_vocab() as u32;
                let tokens: Vec<u32> = (0..90).map(|i| i % n_vocab).collect();
                for sequence in sequences {
                    context.prefill(sequence, &tokens).unwrap();
                }
            });
            check("prefill", run.peak, 0);
            if engine.tokenizer().is_some() {
                let (vocabulary, built) = measured(|| engine.vocabulary().unwrap());
                check("vocabulary", built.peak, plan.grammar_bytes);
                drop(vocabulary);
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// A draft head's part of the plan: its tables when it is loaded, its cache and buffers when it guesses.
#[test]
fn plans_count_what_a_draft_head_takes() {
    let file = model::recipes::build(&model::recipes::named(&["qwen35moe-nextn"])[0]);
    let folder = Folder::new("head");
    let path = folder.file("head.gguf", file.bytes());
    let [without, with] = [false, true].map(|draft_head| {
        let options = LoadOptions {
            context: Some(2048),
            threads: Some(2),
            draft_tokens: 7,
            memory_budget: Some(u64::MAX),
            draft_head,
            ..LoadOptions::default()
        };
        let (engine, open) = measured(|| Engine::open(&path, &options).unwrap());
        let plan = *engine.plan();
        let (context, made) = measured(|| {
            let mut context = engine.context().unwrap();
            let lookup = Speculation::lookup();
            context.set_speculation(Some(if draft_head { lookup.with_head() } else { lookup })).unwrap();
            context
        });
        let mut context = context;
        let cancel = Cancel::new();
        let ((), run) = measured(|| {
            context.prefill_until(0, &[5; 700], &cancel).unwrap();
        });
        assert_eq!(run.calls, 0, "{run:?}");
        (open.held, plan.table_bytes, made.held, plan.kv_bytes + plan.scratch_bytes, plan.kv_bytes)
    });
    let (tables, planned) = (with.0 - without.0, with.1 - without.1);
    assert!(
        tables <= planned && planned < 2 * tables + (32 << 10),
        "tables of {tables} bytes, planned {planned}"
    );
    let (memory, planned) = (with.2 - without.2, with.3 - without.3);
    assert!(with.4 - without.4 >= 512 << 10, "the head's cache");
    assert!(memory <= planned && planned <= memory + 2048, "{memory} bytes, planned {planned}");
}

#[test]
fn contexts_shrink_only_if_no_size_was_asked_for() {
    let folder = Folder::new("shrink");
    let path = folder.file("tiny.gguf", &common::file_bytes(common::TEMPLATE, &[]));
    let options = LoadOptions { threads: Some(1), memory_budget: Some(u64::MAX), ..LoadOptions::default() };
    let engine = Engine::open(&path, &options).unwrap();
    let debug = format!("{engine:?}");
    assert!(debug.starts_with("Engine { path: \"") && debug.contains("context: 512"), "{debug}");
    let whole = *engine.plan();
    assert_eq!((whole.context, whole.shrunk_from, whole.shrunk_notice()), (512, None, None));
    let tight = LoadOptions { memory_budget: Some(whole.anon_bytes() - 1), ..options };
    let plan = *Engine::open(&path, &tight).unwrap().plan();
    assert!(
        plan.context < 512 && plan.context.is_multiple_of(64) && plan.shrunk_from == Some(512),
        "{plan:?}"
    );
    let notice = plan.shrunk_notice().unwrap();
    let expected = format!("context of {} positions instead of 512, to fit ", plan.context);
    assert!(notice.starts_with(&expected) && notice.contains("MiB"), "{notice}");
    let asked = LoadOptions { context: Some(512), ..tight.clone() };
    let error = Engine::open(&path, &asked).map(|_| ()).unwrap_err().to_string();
    let would = format!("a context of {} would fit", plan.context);
    assert!(error.contains(&would) && error.contains("the limit that was set"), "{error}");
    // The plan as a line is what the error begins with.
    assert!(error.contains(&format!("{whole}, over the budget")), "{error}: {whole}");
    // The weights count only if they are read.
    let copied = LoadOptions { mmap: false, memory_budget: Some(u64::MAX), ..tight };
    let plan = *Engine::open(&path, &copied).unwrap().plan();
    assert_eq!(plan.anon_bytes(), whole.anon_bytes() + std::fs::metadata(&path).unwrap().len());
}

/// F8: a tokenizer of another size than the embedding loaded, and the turn died at the first such id.
#[test]
fn vocabularies_of_another_size_are_refused() {
    let folder = Folder::new("vocabulary");
    for (name, rows) in [("more", 459), ("fewer", 258), ("one-more", 260)] {
        let bytes = common::file_bytes_with(common::TEMPLATE, &[], Some(rows));
        let path = folder.file(name, &bytes);
        let error = Engine::open(&path, &LoadOptions::default()).map(|_| ()).unwrap_err();
        assert!(matches!(error, EngineError::VocabularySize { tokens: 259, .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains("259 tokens") && message.contains(&rows.to_string()), "{message}");
        assert!(message.contains(path.to_str().unwrap()), "{message}");
    }
}

/// F7: split models never ran, and the message for a part did not say that it is one.
#[test]
fn split_models_run_by_any_part() {
    let folder = Folder::new("split");
    let whole = folder.file("tiny.gguf", &common::file_bytes(common::TEMPLATE, &[]));
    let parts = common::split(&whole, &folder.0.join("part"));
    let memory_budget = Some(u64::MAX);
    let options =
        LoadOptions { threads: Some(1), context: Some(64), memory_budget, ..LoadOptions::default() };
    let text = |engine: Engine| {
        let mut context = engine.context().unwrap();
        let options = GenerateOptions { max_tokens: Some(12), ..GenerateOptions::default() };
        context.generate(0, &[1, 70, 71], options).unwrap().map(|event| format!("{:?}", event.unwrap())).fold(
            String::new(),
            // Times differ.
            |all, event| if event.starts_with("Token") { all + &event } else { all },
        )
    };
    let expected = text(Engine::open(&whole, &options).unwrap());
    assert!(!expected.is_empty() && parts.len() > 2);
    for mmap in [true, false] {
        let options = LoadOptions { mmap, ..options.clone() };
        for part in &parts {
            let engine = Engine::open(part, &options).unwrap();
            let bytes: u64 = parts.iter().map(|part| part.metadata().unwrap().len()).sum();
            assert_eq!(engine.plan().weight_bytes, bytes);
            assert_eq!(Engine::plan_of(&Source::Path(part), &options).unwrap(), *engine.plan());
            assert_eq!(text(engine), expected, "{}", part.display());
        }
        // As parts of one open file, in another order.
        let mut package = vec![b'#'; 1234];
        let mut places = Vec::new();
        for part in parts.iter().rev() {
            let bytes = std::fs::read(part).unwrap();
            places.push((package.len() as u64, bytes.len() as u64));
            package.extend(bytes);
            package.push(b'#');
        }
        let path = folder.file("package", &package);
        let file = File::open(path).unwrap();
        let part = |(offset, len): &(u64, u64)| FilePart::new(&file, "package", *offset, Some(*len)).unwrap();
        let all: Vec<FilePart<'_>> = places.iter().map(part).collect();
        let open =
            |parts| Engine::open_from(&Source::Parts(parts), &options, &mut |_| ControlFlow::Continue(()));
        assert_eq!(text(open(&all).unwrap()), expected);
        let error = open(&all[1..]).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("part"), "{error}");
    }
    // A part that stands alone: the message names the files that are needed.
    let alone = Folder::new("alone");
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    for part in &parts {
        let copy = alone.0.join(part.file_name().unwrap());
        std::fs::copy(part, &copy).unwrap();
        let error = Engine::open(&copy, &options).map(|_| ()).unwrap_err().to_string();
        for other in parts.iter().filter(|other| *other != part) {
            assert!(error.contains(&name(other)), "{error}");
        }
        std::fs::remove_file(copy).unwrap();
    }
}

/// Progress is asked while a tokenizer is built, and ends that.
#[test]
fn loading_ends_within_the_tokenizer() {
    let folder = Folder::new("cancel");
    let path = folder.file("tokens.gguf", &many_tokens(200_000));
    for mmap in [true, false] {
        let options = LoadOptions { mmap, ..LoadOptions::default() };
        let mut asked = 0;
        let mut count = |_| {
            asked += 1;
            ControlFlow::Continue(())
        };
        Engine::open_from(&Source::Path(&path), &options, &mut count).unwrap();
        assert!(asked > 20, "asked {asked} times");
        for last in 0..asked {
            let mut left = last;
            let mut stop = |_| {
                if left == 0 {
                    return ControlFlow::Break(());
                }
                left -= 1;
                ControlFlow::Continue(())
            };
            let error = Engine::open_from(&Source::Path(&path), &options, &mut stop).map(|_| ()).unwrap_err();
            assert!(matches!(error, EngineError::Cancelled), "{last} of {asked}: {error}");
            if last > 40 {
                break;
            }
        }
    }
}

/// An app trims whenever it goes to the background: nothing may be left over from any of the times.
#[test]
fn trimming_a_thousand_times_is_flat() {
    let options = LoadOptions { threads: Some(1), context: Some(128), branches: 1, ..LoadOptions::default() };
    let engine = common::engine(&options).unwrap();
    let mut context = engine.context().unwrap();
    let logits = |context: &mut happy_engine::Context| -> Vec<u32> {
        context.prefill(0, &[1, 80, 81]).unwrap().iter().map(|x| x.to_bits()).collect()
    };
    let first = logits(&mut context);
    let levels = [TrimLevel::Scratch, TrimLevel::Snapshots, TrimLevel::Branches, TrimLevel::Sequences];
    context.fork(0, 1).unwrap();
    for (level, left) in levels.into_iter().zip([[3, 3], [3, 3], [3, 0], [0, 0]]) {
        context.trim(level).unwrap();
        assert_eq!([0, 1].map(|sequence| context.tokens(sequence).len()), left, "{level:?}");
    }
    let mut cycle = |i: usize| {
        let found = logits(&mut context);
        context.trim(levels[i % 4]).unwrap();
        context.truncate(0, 0).unwrap();
        assert_eq!(found, first);
    };
    // the first time the last buffers are taken
    (0..4).for_each(&mut cycle);
    let (_, used) = measured(|| (0..1000).for_each(&mut cycle));
    assert_eq!(used.held, 0);
    assert!(used.peak < MIB, "{used:?}");
}
