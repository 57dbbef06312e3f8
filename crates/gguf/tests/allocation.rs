//! Each allocation of 4 KiB or more is refused once: the result is an error, never an abort, and no files are left
//! over.

use std::fs;
use std::path::{Path, PathBuf};

use happy_gguf::*;
use happy_testkit::{Meter, refusing};

#[global_allocator]
static METER: Meter = Meter;

fn model() -> Vec<u8> {
    let tokens: Vec<String> = (0..3000).map(|i| format!("token {i}")).collect();
    let writer = GgufWriter::new()
        .kv("general.architecture", "llama")
        .kv("general.name", "a name")
        .kv("tokenizer.ggml.tokens", tokens)
        .kv("tokenizer.ggml.scores", vec![0.5f32; 3000]);
    let writer = (0..300).fold(writer, |w, i| w.kv(format!("test.{i}"), i as u32));
    let writer =
        (0..300).fold(writer, |w, i| w.tensor(format!("t{i:03}"), GgmlType::I8, &[32], vec![i as u8; 32]));
    writer.tensor("big", GgmlType::I8, &[300_000], vec![1; 300_000]).to_vec().unwrap()
}

type Work = (&'static str, fn(&Path) -> Result<(), String>);

fn said<T, E: ToString>(done: Result<T, E>) -> Result<T, String> {
    done.map_err(|e| e.to_string())
}

fn set(path: &Path, value: &str) -> Result<(), String> {
    said(edit_file(path, EditMode::InPlace, |edit| {
        edit.set("general.name", value);
        Ok::<_, WriteError>(())
    }))
    .map(drop)
}

const WORK: [Work; 10] = [
    ("read", |path| {
        let file = said(GgufFile::read(path))?;
        let scores = said(file.view().metadata().key(&keys::TOKENIZER_SCORES))?;
        assert_eq!(scores.map(|s| s.len()), Some(3000));
        Ok(())
    }),
    ("header", |path| said(GgufHeader::open(path, &Limits::default())).map(drop)),
    ("any part", |path| said(GgufSetFile::read(path.with_file_name("p-00002-of-00003.gguf"))).map(drop)),
    ("edit in place", |path| set(path, "b name")),
    ("edit by a new file", |path| set(path, &"x".repeat(100))),
    ("another alignment", |path| {
        said(edit_file(path, EditMode::InPlace, |edit| {
            edit.set(ALIGNMENT_KEY, 64u32);
            Ok::<_, WriteError>(())
        }))
        .map(drop)
    }),
    ("merge", |path| {
        let model =
            said(GgufSetReader::open(path.with_file_name("p-00001-of-00003.gguf"), &Limits::default()))?;
        said(model.merge().write_file(path.with_file_name("out.gguf"))).map(drop)
    }),
    ("split", |path| {
        let model = said(GgufSetReader::open(path, &Limits::default()))?;
        let parts = said(model.split(SplitBy::Tensors(150)))?;
        said(GgufWriter::write_parts(&parts, path.with_file_name("out"), &WriteOptions::default())).map(drop)
    }),
    ("hash", |path| {
        let model = said(GgufSetReader::open(path, &Limits::default()))?;
        said(ContentHash::of_reader(&model, |_, _| (), &|| false)).map(drop)
    }),
    ("copy in memory", |path| {
        let file = said(GgufFile::read(path))?;
        said(GgufWriter::from_gguf(&file.view()).to_vec()).map(drop)
    }),
];

#[test]
fn each_allocation_is_refused_once() {
    let folder = std::env::temp_dir().join(format!("happy-gguf-allocation-{}", std::process::id()));
    let bytes = model();
    let path = folder.join("m.gguf");
    let names = || {
        let mut names: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        names
    };
    let reset = || {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(&path, &bytes).unwrap();
        let set = GgufSet::from(Gguf::parse(&bytes).unwrap());
        GgufWriter::write_split(&set, SplitBy::Tensors(150), folder.join("p")).unwrap();
    };
    let mut failures = Vec::new();
    for (what, work) in WORK {
        reset();
        let before = names();
        let mut refused = 0;
        for n in 1.. {
            let (done, any) = refusing(n, || work(&path));
            if !any {
                if let Err(error) = done {
                    failures.push(format!("{what}: {error}"));
                }
                break;
            }
            refused += 1;
            let whole = fs::read(&path).unwrap() == bytes;
            match done {
                Err(_) if whole && names() == before => {}
                // A hash table may make do with less memory.
                Ok(()) => reset(),
                Err(error) => failures.push(format!("{what}, {n}: {error}: {whole} {:?}", names())),
            }
        }
        if refused == 0 {
            failures.push(format!("{what}: no allocation was refused"));
        }
        println!("{what}: {refused} allocations refused");
    }
    fs::remove_dir_all(&folder).unwrap();
    assert!(failures.is_empty(), "{failures:#?}");
}
