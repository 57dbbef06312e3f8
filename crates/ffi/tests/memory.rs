//! Memory through the core of the bindings: plans, split models, and allocations that are refused.

mod support;

use happy::core::model::{Model, OpenPart, Place};
use happy::core::session::{Session, SessionSettings, TurnSettings};
use happy::{Failure, Outcome, Status};
use happy_engine::Form;
use happy_engine::LoadOptions;
use happy_gguf::{Gguf, GgufSet, GgufWriter, SplitBy};
use happy_testkit::{Meter, refusing};
use std::fs::File;
use std::path::PathBuf;
use support::{Folder, TEMPLATE, tiny_model};

#[global_allocator]
static METER: Meter = Meter;

fn options(mmap: bool) -> LoadOptions {
    let memory_budget = Some(u64::MAX);
    LoadOptions {
        threads: Some(1),
        context: Some(128),
        batch: 32,
        mmap,
        memory_budget,
        ..LoadOptions::default()
    }
}

fn settings(schema: bool) -> TurnSettings {
    const SCHEMA: &str =
        r#"{"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]}"#;
    let form = schema.then(|| Form::json_schema(SCHEMA.to_owned()));
    TurnSettings { form, max_tokens: Some(6), ..TurnSettings::default() }
}

fn chat(session: &Session, schema: bool) -> Outcome<()> {
    session.clear()?;
    session.chat(Some("Hi"), &settings(schema), &mut |_| true).map(|_| ())
}

/// Every allocation of at least 4 KiB is refused once: a status, never an abort, never "an error of the library".
#[test]
fn refused_allocations_are_statuses() {
    let folder = Folder::new("refused");
    let path = Place::path(&folder.file("tiny.gguf", tiny_model(Some(TEMPLATE)))).unwrap();
    let mut failures: Vec<String> = Vec::new();
    let mut note = |what: &str, n: usize, result: Result<(), Failure>| {
        if let Err(failure) = result
            && failure.status == Status::Internal
        {
            failures.push(format!("{what}, allocation {n}: {failure}"));
        }
    };
    for mmap in [true, false] {
        let whole = || -> Outcome<()> {
            let model = Model::open(&path, &options(mmap), None, None)?;
            let session = Session::new(&model, &SessionSettings::default())?;
            chat(&session, false)?;
            chat(&session, true)
        };
        whole().unwrap();
        for n in 1.. {
            let (result, refused) = refusing(n, whole);
            if !refused {
                break;
            }
            note("all", n, result);
        }
    }
    let model = Model::open(&path, &options(true), None, None).unwrap();
    let session = Session::new(&model, &SessionSettings::default()).unwrap();
    for schema in [false, true] {
        for n in 1.. {
            let (result, refused) = refusing(n, || chat(&session, schema));
            if !refused {
                break;
            }
            note("chat", n, result);
            // The same session goes on.
            chat(&session, schema).unwrap();
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// F7 and F18: split models by path and by descriptors; what shrank is told.
#[test]
fn split_models_and_their_plans() {
    let folder = Folder::new("split");
    let bytes = tiny_model(Some(TEMPLATE));
    let whole = Place::path(&folder.file("tiny.gguf", &bytes)).unwrap();
    let set = GgufSet::from(Gguf::parse(&bytes).unwrap());
    let paths: Vec<PathBuf> =
        GgufWriter::write_split(&set, SplitBy::Tensors(5), folder.path("part")).unwrap();
    let open = |place: &Place, mmap| Model::open(place, &options(mmap), None, None);
    let parts = |paths: &mut dyn Iterator<Item = &PathBuf>| {
        let part = |path: &PathBuf| OpenPart {
            file: File::open(path).unwrap(),
            name: format!("descriptor of {}", path.display()),
            offset: 0,
            len: None,
        };
        Place::Parts(paths.map(part).collect())
    };
    for mmap in [true, false] {
        let expected = open(&whole, mmap).unwrap();
        let mut places: Vec<Place> =
            paths.iter().map(|path| Place::path(path.to_str().unwrap()).unwrap()).collect();
        places.push(parts(&mut paths.iter().rev()));
        for place in &places {
            let planned = place.plan(&options(mmap)).unwrap();
            let model = open(place, mmap).unwrap();
            assert!(planned.fits && planned.plan == model.plan().plan, "{place:?}");
            assert_eq!(model.plan().plan.kv_bytes, expected.plan().plan.kv_bytes);
            assert_eq!(model.info(false), expected.info(false));
            let session = Session::new(&model, &SessionSettings::default()).unwrap();
            chat(&session, false).unwrap();
        }
        let failure = open(&parts(&mut paths.iter().skip(1)), mmap).map(|_| ()).unwrap_err();
        assert_eq!(failure.status, Status::Model, "{failure}");
        assert!(failure.message.contains("expected 0 as `split.no`, found 1"), "{failure}");
    }
    let any = LoadOptions { context: None, ..options(true) };
    let bytes = whole.plan(&any).unwrap().plan.anon_bytes();
    let tight = whole.plan(&LoadOptions { memory_budget: Some(bytes - 1), ..any.clone() }).unwrap();
    assert!(tight.fits && tight.plan.shrunk_from == Some(512) && tight.plan.context < 512, "{tight:?}");
    let asked = LoadOptions { memory_budget: Some(bytes - 1), context: Some(512), ..any };
    let refused = whole.plan(&asked).unwrap();
    assert!(!refused.fits && refused.fitting == Some(tight.plan.context) && refused.budget() == bytes - 1);
}

/// F8: ids that do not exist are the caller's mistake, not the library's.
#[test]
fn wrong_ids_are_not_internal_errors() {
    let folder = Folder::new("ids");
    let place = Place::path(&folder.file("tiny.gguf", tiny_model(Some(TEMPLATE)))).unwrap();
    let model = Model::open(&place, &options(true), None, None).unwrap();
    for failure in [
        model.detokenize(&[259], false).map(|_| ()).unwrap_err(),
        model.detokenize(&[u32::MAX], true).map(|_| ()).unwrap_err(),
        model.piece(u32::MAX).map(|_| ()).unwrap_err(),
        {
            let mut context = model.engine().context().unwrap();
            context.decode(&[(0, 259)]).map(|_| ()).unwrap_err().into()
        },
    ] {
        assert!([Status::Tokenizer, Status::InvalidArgument].contains(&failure.status), "{failure:?}");
    }
}
