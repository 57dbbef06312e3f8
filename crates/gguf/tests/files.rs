//! Operations on files: headers from streams, split sets, edits, typed keys, names.

mod support;

use std::fs;
use std::io::{self, Cursor, Read};
use std::path::PathBuf;

use happy_gguf::*;

/// A folder that is removed when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("happy-gguf-files-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(&self.0).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn model(n: usize) -> GgufWriter<'static> {
    let writer = GgufWriter::new()
        .kv("general.architecture", "llama")
        .kv("general.name", "tiny")
        .kv("tokenizer.ggml.tokens", vec!["a", "b"]);
    (0..n).fold(writer, |w, i| {
        w.tensor(format!("t{i}"), GgmlType::F32, &[i as u64 + 1], vec![i as u8; 4 * (i + 1)])
    })
}

/// Reads a few bytes at a time, and counts them.
struct Trickle<'a> {
    bytes: &'a [u8],
    step: usize,
    given: usize,
}

impl Read for Trickle<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.step.min(out.len()).min(self.bytes.len() - self.given);
        out[..n].copy_from_slice(&self.bytes[self.given..self.given + n]);
        self.given += n;
        Ok(n)
    }
}

/// A header read from a stream equals that of the whole file, and reads little of what follows.
#[test]
fn headers_of_the_corpus() {
    let corpus = support::corpus();
    let mut failures = Vec::new();
    for (case, bytes) in support::cases(&corpus) {
        let what = &case["what"];
        let whole = Gguf::parse(&bytes);
        let known = HeaderOptions { file_len: Some(bytes.len() as u64), ..HeaderOptions::default() };
        let read = [
            GgufHeader::read(Cursor::new(&bytes)),
            GgufHeader::read_with(Trickle { bytes: &bytes, step: 7, given: 0 }, &known),
        ];
        for header in read {
            match (&whole, header) {
                (Ok(whole), Ok(header)) => {
                    let view = header.view();
                    let same = format!("{:?}", view.metadata()) == format!("{:?}", whole.metadata())
                        && view.tensors().eq(whole.tensors())
                        && view.data_offset() == whole.data_offset()
                        && view.warnings() == whole.warnings();
                    if !same {
                        failures.push(format!("{what}: differs"));
                    }
                }
                (Err(a), Err(HeaderError::Parse(b))) => {
                    if (a.kind(), a.offset()) != (b.kind(), b.offset()) {
                        failures.push(format!("{what}: {a} / {b}"));
                    }
                }
                (a, b) => failures.push(format!("{what}: {:?} / {:?}", a.as_ref().err(), b.err())),
            }
        }
        // Every prefix of a valid file asks for more bytes, and for no more than there are.
        if let Ok(whole) = whole {
            for len in 0..bytes.len() {
                match Gguf::parse_header(&bytes[..len], Some(bytes.len() as u64), &Limits::default()) {
                    Ok(part) => {
                        assert!(len as u64 >= whole.header_end(), "{what}");
                        assert_eq!(part.data_end(), whole.data_end());
                    }
                    Err(e) => {
                        let needed = e.needed().unwrap_or(0);
                        let sane = e.kind() == ParseErrorKind::Truncated
                            && (len as u64 + 1..=whole.header_end()).contains(&needed);
                        assert!(sane, "{what}: {len} of {}: {e}, needs {needed}", bytes.len());
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_header_needs_no_tensors() {
    let file = model(3).tensor("big", GgmlType::F32, &[1 << 20], vec![0; 4 << 20]).to_vec().unwrap();
    let mut source = Trickle { bytes: &file, step: 1000, given: 0 };
    let header = GgufHeader::read_with(&mut source, &HeaderOptions::default()).unwrap();
    assert!(source.given <= 64 << 10, "{}", source.given);
    assert_eq!(header.view().data_end(), file.len() as u64);
    assert_eq!(header.bytes().len() as u64, header.view().header_end());
    assert!(header.view().data(&header.view().tensor("t0").unwrap()).is_none());

    // A file that will be too short is refused if its length is known.
    let options = HeaderOptions { file_len: Some(1 << 20), ..HeaderOptions::default() };
    let error = GgufHeader::read_with(&file[..], &options).unwrap_err().to_string();
    assert!(error.contains("tensor `big`") && error.contains("in a file of 1048576 bytes"), "{error}");
    // A file whose end is missing is reported as such.
    let error = GgufHeader::read_with(&file[..100], &HeaderOptions::default()).unwrap_err().to_string();
    assert!(error.contains("file ends too early"), "{error}");
    let options = HeaderOptions { max_header_len: 80, ..HeaderOptions::default() };
    let error = GgufHeader::read_with(&file[..], &options).unwrap_err().to_string();
    assert!(error.contains("limit exceeded") && error.contains("at most 80 bytes"), "{error}");
}

/// A stream that keeps announcing more is not read forever.
#[test]
fn an_endless_header_ends() {
    let start = support::Raw::header(0, 1).string(b"a").u32(8).u64(1 << 60).0;
    let options = HeaderOptions { max_header_len: 1 << 20, ..HeaderOptions::default() };
    let error = GgufHeader::read_with(start.chain(io::repeat(1)), &options).unwrap_err();
    assert!(error.to_string().contains("limit exceeded"), "{error}");
    let start = support::Raw::header(0, 1).string(b"a").u32(9).u32(8).u64(1 << 20).0;
    let error = GgufHeader::read_with(start.chain(io::repeat(0)), &options).unwrap_err();
    assert!(error.to_string().contains("limit exceeded"), "{error}");
}

#[test]
fn shards_of_the_corpus() {
    let corpus = support::corpus();
    let folder = std::env::temp_dir().join(format!("happy-gguf-shards-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for n in 1..=3 {
        let name = format!("shards-0000{n}-of-00003.gguf");
        fs::write(folder.join(&name), corpus.bytes(&format!("files/{name}")).unwrap()).unwrap();
    }
    let model = GgufSetFile::read(folder.join("shards-00001-of-00003.gguf")).unwrap();
    let set = model.view();
    assert_eq!(set.parts().len(), 3);
    let names: Vec<_> = set.tensors().map(|(_, t)| t.name).collect();
    assert_eq!(names, ["t0", "t1", "t2", "t3", "t4"]);
    for (part, tensor) in set.tensors() {
        let direct = set.parts().nth(part).unwrap().1.data(&tensor);
        assert_eq!(set.data(tensor.name), direct);
        assert!(direct.is_some());
    }
    assert_eq!(set.metadata().get_str("general.name").unwrap(), "sharded");
    let merged = GgufWriter::merge(&set).to_vec().unwrap();
    let merged = Gguf::parse(&merged).unwrap();
    merged.check_strict().unwrap();
    assert_eq!(merged.metadata().len(), 3);
    assert_eq!(ContentHash::of(&set), ContentHash::of(&merged.into()));

    let third = GgufSetFile::read(folder.join("shards-00003-of-00003.gguf")).unwrap();
    assert_eq!(ContentHash::of(&third.view()), ContentHash::of(&set));
}

/// A model that was split merges into the original, byte by byte.
#[test]
fn split_and_merge() {
    for version in [1, 2, 3] {
        let whole = model(7).alignment(64).version(version).to_vec().unwrap();
        let set = GgufSet::from(Gguf::parse(&whole).unwrap());
        for (by, parts) in [
            (SplitBy::Tensors(1), 7),
            (SplitBy::Tensors(3), 3),
            (SplitBy::Tensors(0), 7),
            (SplitBy::Tensors(100), 1),
            (SplitBy::Bytes(0), 7),
            (SplitBy::Bytes(24), 5),
            (SplitBy::Bytes(u64::MAX), 1),
        ] {
            let files: Vec<_> =
                GgufWriter::split(&set, by).unwrap().iter().map(|w| w.to_vec().unwrap()).collect();
            assert_eq!(files.len(), parts, "{by:?}");
            let parsed = files.iter().zip(1..).map(|(f, i)| (format!("part {i}"), Gguf::parse(f).unwrap()));
            let split = GgufSet::new(parsed).unwrap();
            assert!(split.parts().all(|(_, gguf)| gguf.alignment() == 64 && gguf.version() == version));
            assert!(GgufWriter::merge(&split).to_vec().unwrap() == whole, "{by:?}");
            assert_eq!(ContentHash::of(&split), ContentHash::of(&set));
        }
    }
    // A file without tensors makes one part.
    let empty = GgufWriter::new().to_vec().unwrap();
    let parts = GgufWriter::split(&GgufSet::from(Gguf::parse(&empty).unwrap()), SplitBy::Tensors(1)).unwrap();
    assert_eq!(parts.len(), 1);
}

#[test]
fn sets_that_do_not_fit() {
    let part = |no: u16, count: u16, total: i32, name: &'static str| {
        GgufWriter::new().kv("split.no", no).kv("split.count", count).kv("split.tensors.count", total).tensor(
            name,
            GgmlType::F32,
            &[1],
            vec![0; 4],
        )
    };
    let arch = |w: GgufWriter<'static>, a: &str| w.kv("general.architecture", a);
    use SetErrorKind::{DuplicateTensor, ForeignPart, MissingPart, WrongTensorCount};
    let cases: Vec<(&str, Vec<GgufWriter<'_>>, SetErrorKind, &str)> = vec![
        ("none", vec![], MissingPart, "part 1"),
        ("one of two", vec![part(0, 2, 2, "a")], MissingPart, "part 2"),
        ("second only", vec![part(1, 2, 2, "a")], MissingPart, "part 1"),
        ("third only", vec![part(2, 3, 2, "a")], MissingPart, "part 1`, `part 2"),
        ("number too large", vec![part(2, 2, 2, "a")], ForeignPart, "0"),
        ("twice the first", vec![part(0, 2, 2, "a"), part(0, 2, 2, "b")], ForeignPart, "1"),
        ("other count", vec![part(0, 2, 2, "a"), part(1, 3, 2, "b")], ForeignPart, "1"),
        ("too many", vec![part(0, 2, 3, "a"), part(1, 2, 3, "b"), part(2, 2, 3, "c")], ForeignPart, "2"),
        ("no split keys", vec![part(0, 2, 2, "a"), model(1)], ForeignPart, "1"),
        ("two whole ones", vec![model(1), model(1)], ForeignPart, "1"),
        ("same tensor", vec![part(0, 2, 2, "a"), part(1, 2, 2, "a")], DuplicateTensor, "1"),
        ("tensors missing", vec![part(0, 2, 9, "a"), part(1, 2, 9, "b")], WrongTensorCount, "0"),
        ("other total", vec![part(0, 2, 2, "a"), part(1, 2, 3, "b")], ForeignPart, "1"),
        (
            "other model",
            vec![arch(part(0, 2, 2, "a"), "llama"), arch(part(1, 2, 2, "b"), "qwen2")],
            ForeignPart,
            "1",
        ),
        (
            "other order",
            vec![part(0, 2, 2, "a"), part(1, 2, 2, "b").byte_order(ByteOrder::Big)],
            ForeignPart,
            "1",
        ),
        ("odd count", vec![GgufWriter::new().kv("split.count", "two")], ForeignPart, "0"),
        ("negative count", vec![GgufWriter::new().kv("split.count", -1i32)], ForeignPart, "0"),
        (
            "huge count",
            vec![GgufWriter::new().kv("split.count", u64::MAX).kv("split.no", 0u8)],
            ForeignPart,
            "0",
        ),
    ];
    for (name, writers, kind, part) in cases {
        let files: Vec<_> = writers.iter().map(|w| w.to_vec().unwrap()).collect();
        let parsed = files.iter().enumerate().map(|(i, f)| (i.to_string(), Gguf::parse(f).unwrap()));
        let error = GgufSet::new(parsed).unwrap_err();
        assert_eq!((error.kind(), error.part()), (kind, part), "{name}: {error}");
    }
    let good = [part(0, 2, 2, "b").to_vec().unwrap(), part(1, 2, 2, "a").to_vec().unwrap()];
    let set = GgufSet::new(good.iter().map(|f| ("x", Gguf::parse(f).unwrap()))).unwrap();
    assert_eq!((set.tensor("a").unwrap().0, set.tensor("b").unwrap().0, set.tensor("c")), (1, 0, None));
}

fn set_of(file: &GgufSetFile) -> GgufSet<'_> {
    file.view()
}

/// Renamed parts are found by their metadata, unless two files claim the same part.
#[test]
fn renamed_parts_are_found_in_the_folder() {
    let folder = Folder::new("renamed");
    let whole = model(7).to_vec().unwrap();
    let set = GgufSet::from(Gguf::parse(&whole).unwrap());
    let paths = GgufWriter::write_split(&set, SplitBy::Tensors(3), folder.0.join("m")).unwrap();
    let other = model(4).to_vec().unwrap();
    let other = GgufSet::from(Gguf::parse(&other).unwrap());
    GgufWriter::write_split(&other, SplitBy::Tensors(2), folder.0.join("o")).unwrap();
    fs::write(folder.0.join("a.gguf"), "no model").unwrap();
    for (old, new) in [(0, "one.gguf"), (2, "three.GGUF")] {
        fs::rename(&paths[old], folder.0.join(new)).unwrap();
    }
    for name in ["one.gguf", "m-00002-of-00003.gguf", "three.GGUF"] {
        let model = GgufSetFile::read(folder.0.join(name)).unwrap();
        assert!(GgufWriter::merge(&model.view()).to_vec().unwrap() == whole, "{name}");
    }
    fs::copy(folder.0.join("one.gguf"), folder.0.join("uno.gguf")).unwrap();
    let error = GgufSetFile::read(&paths[1]).unwrap_err().to_string();
    assert!(
        error.contains("`part 1 of 3`: expected one file, found `") && error.contains("uno.gguf"),
        "{error}"
    );
    // If the numbers in a name contradict the metadata, the metadata counts.
    fs::rename(folder.0.join("uno.gguf"), folder.0.join("m-00003-of-00003.gguf")).unwrap();
    assert!(GgufSetFile::read(folder.0.join("m-00003-of-00003.gguf")).is_ok());
}

/// Reading reports its progress over all parts, and stops when it is cancelled.
#[test]
fn reading_a_set_is_cancelled() {
    use std::ops::ControlFlow;
    let folder = Folder::new("cancel");
    let whole = model(2).tensor("big", GgmlType::F32, &[1 << 20], vec![0; 4 << 20]).to_vec().unwrap();
    let set = GgufSet::from(Gguf::parse(&whole).unwrap());
    let paths = GgufWriter::write_split(&set, SplitBy::Tensors(1), folder.0.join("m")).unwrap();
    let mut shares = Vec::new();
    let mut all = |share| {
        shares.push(share);
        ControlFlow::Continue(())
    };
    GgufSetFile::read_with(&paths[1], &Limits::default(), &mut all).unwrap();
    assert!(shares.is_sorted() && shares.len() > 6 && shares.last() == Some(&1.0), "{shares:?}");
    for after in 0..shares.len() {
        let mut left = after;
        let mut some = |_| match left {
            0 => ControlFlow::Break(()),
            _ => {
                left -= 1;
                ControlFlow::Continue(())
            }
        };
        let error = GgufSetFile::read_with(&paths[0], &Limits::default(), &mut some).unwrap_err();
        assert!(matches!(error, FileError::Cancelled { .. }), "{error}");
    }
}

/// Names that are not UTF-8 work like any other.
#[cfg(target_os = "linux")]
#[test]
fn names_of_any_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::new("bytes");
    let path = folder.0.join(std::ffi::OsStr::from_bytes(b"m\xff\n"));
    model(3).write_file(&path).unwrap();
    let done = edit_file(&path, EditMode::InPlace, |edit| {
        edit.set("general.name", "tony");
        Ok::<_, WriteError>(())
    });
    assert_eq!(done.unwrap(), Edited::InPlace);
    let whole = GgufFile::read(&path).unwrap();
    let paths = GgufWriter::write_split(&whole.view().into(), SplitBy::Tensors(1), &path).unwrap();
    for part in &paths {
        assert_eq!(GgufSetFile::read(part).unwrap().view().tensors().count(), 3);
    }
    fs::remove_file(&paths[0]).unwrap();
    let error = GgufSetFile::read(&paths[1]).unwrap_err();
    assert_eq!(error.path(), paths[1]);
    assert!(error.to_string().contains(r"m\xff\n-00002-of-00003.gguf"), "{error}");
    // The longest possible names: the files beside them get shorter ones.
    let long = folder.0.join("x".repeat(255));
    model(3).write_file(&long).unwrap();
    let done = edit_file(&long, EditMode::InPlace, |edit| {
        edit.set("general.name", "tony");
        Ok::<_, WriteError>(())
    });
    assert_eq!(done.unwrap(), Edited::InPlace);
}

#[test]
fn sets_on_disk() {
    let folder = Folder::new("set");
    let whole = model(7).to_vec().unwrap();
    let set = GgufSet::from(Gguf::parse(&whole).unwrap());
    let paths = GgufWriter::write_split(&set, SplitBy::Tensors(3), folder.0.join("m")).unwrap();
    assert_eq!(folder.names(), ["m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf"]);
    let model = GgufSetFile::read(&paths[0]).unwrap();
    assert!(GgufWriter::merge(&model.clone().view()).to_vec().unwrap() == whole);
    // Any part opens all of them, and the headers alone give the same view without the bytes.
    for path in &paths {
        let by_part = GgufSetFile::read(path).unwrap();
        assert!(by_part.paths().eq(&paths));
        assert!(GgufWriter::merge(&by_part.view()).to_vec().unwrap() == whole);
        let headers = GgufSetFile::headers(path, &Limits::default()).unwrap();
        assert!(headers.view().tensors().eq(set_of(&model).tensors()));
        assert!(headers.view().data("t0").is_none());
    }
    // Parts are accepted in any order; one part alone is refused, and the error names the others.
    let parts: Vec<_> = paths.iter().rev().map(|p| (p, GgufFile::read(p).unwrap())).collect();
    assert!(
        GgufWriter::merge(&set_of(&GgufSetFile::from_parts(parts.clone()).unwrap())).to_vec().unwrap()
            == whole
    );
    let error = GgufSetFile::from_parts(parts[1..2].to_vec()).unwrap_err().to_string();
    let others = "`m-00001-of-00003.gguf`, `m-00003-of-00003.gguf`: expected all 3 parts, found part 2 alone";
    assert!(error.contains(others), "{error}");

    let error = |path: &PathBuf| GgufSetFile::read(path).unwrap_err().to_string();
    let saved = fs::read(&paths[2]).unwrap();
    fs::copy(&paths[0], &paths[2]).unwrap();
    let said = error(&paths[0]);
    let foreign =
        "not a part of this split model: `m-00003-of-00003.gguf`: expected 2 as `split.no`, found 0";
    assert!(said.contains(foreign), "{said}");
    fs::remove_file(&paths[2]).unwrap();
    fs::remove_file(&paths[1]).unwrap();
    let said = error(&paths[0]);
    assert!(said.contains("`m-00002-of-00003.gguf`, `m-00003-of-00003.gguf`: expected all 3"), "{said}");
    fs::write(&paths[1], "no model").unwrap();
    fs::write(&paths[2], &saved).unwrap();
    assert!(error(&paths[2]).contains("m-00002-of-00003.gguf`: not a GGUF file"));
    // A file that is not split is a set of one.
    assert!(model.parts().len() == 3);
    let single = folder.0.join("single.gguf");
    fs::write(&single, &whole).unwrap();
    assert_eq!(GgufSetFile::read(&single).unwrap().view().tensors().count(), 7);
}

/// An edit without changes reproduces every file that parses; a change affects only the header.
#[test]
fn edits_of_the_corpus() {
    let corpus = support::corpus();
    let mut files: Vec<_> = support::cases(&corpus).into_iter().map(|(_, bytes)| bytes).collect();
    files.extend(support::files(&corpus).into_iter().map(|(_, bytes)| bytes));
    let mut n = 0;
    for bytes in files {
        let Ok(gguf) = Gguf::parse(&bytes) else { continue };
        n += 1;
        assert!(GgufEdit::new(&gguf).to_vec().unwrap() == bytes);
        let mut edit = GgufEdit::new(&gguf);
        edit.set("test.added", vec!["a value", "of strings"]);
        let edited = edit.to_vec().unwrap();
        let other = Gguf::parse(&edited).unwrap();
        assert_eq!(other.metadata().len(), gguf.metadata().len() + 1);
        assert_eq!(other.metadata().get_strings("test.added").unwrap().nth(1).unwrap(), "of strings");
        for (a, b) in gguf.tensors().zip(other.tensors()) {
            assert_eq!((a.name, a.ty, a.dims, gguf.data(&a)), (b.name, b.ty, b.dims, other.data(&b)));
        }
        let mut edit = GgufEdit::new(&gguf);
        let alignment = if gguf.alignment() == 128 { 256u32 } else { 128 };
        edit.set("general.alignment", alignment);
        let edited = edit.to_vec().unwrap();
        let moved = Gguf::parse(&edited).unwrap();
        assert_eq!((moved.alignment(), moved.tensors().len()), (alignment.into(), gguf.tensors().len()));
        for (a, b) in gguf.tensors().zip(moved.tensors()) {
            // A type of unknown size may include the padding.
            let (a_data, b_data) = (gguf.data(&a).unwrap(), moved.data(&b).unwrap());
            assert_eq!((a.name, a.ty, a.dims, a_data), (b.name, b.ty, b.dims, &b_data[..a_data.len()]));
        }

        let mut edit = GgufEdit::new(&other);
        assert!(edit.remove("test.added"));
        let back = edit.to_vec().unwrap();
        // The padding after the header becomes zeros, whatever it was.
        let (end, start) = (gguf.header_end() as usize, (gguf.data_offset() as usize).min(bytes.len()));
        assert!(back[..end] == bytes[..end] && back[start.min(back.len())..] == bytes[start..]);
    }
    assert!(n > 100, "{n}");
}

#[test]
fn edits_on_disk() {
    let folder = Folder::new("edit");
    let path = folder.0.join("m.gguf");
    model(3).write_file(&path).unwrap();
    let before = fs::read(&path).unwrap();
    let hash = |path| ContentHash::of(&GgufSetFile::read(path).unwrap().view());
    let tensors = hash(&path).tensors;
    let set = |mode, key: &'static str, value: OwnedValue| {
        edit_file(&path, mode, |edit| {
            edit.set(key, value);
            Ok::<_, WriteError>(())
        })
    };
    use EditMode::{InPlace, Rewrite};
    assert_eq!(set(InPlace, "general.name", "tiny".into()).unwrap(), Edited::Unchanged);
    assert_eq!(set(Rewrite, "general.name", "tiny".into()).unwrap(), Edited::Unchanged);
    assert_eq!(set(InPlace, "general.name", "tony".into()).unwrap(), Edited::InPlace);
    assert_eq!(set(Rewrite, "general.name", "tony".into()).unwrap(), Edited::Unchanged);
    assert_eq!(set(Rewrite, "general.name", "toni".into()).unwrap(), Edited::Rewritten);
    assert_eq!(set(InPlace, "general.text", "x".repeat(1000).into()).unwrap(), Edited::Rewritten);
    let done = edit_file(&path, InPlace, |edit| {
        assert!(edit.remove("general.text"));
        edit.set("general.name", "tiny");
        Ok::<_, WriteError>(())
    });
    assert_eq!(done.unwrap(), Edited::Rewritten);
    assert!(fs::read(&path).unwrap() == before);

    // A refused edit changes nothing.
    let errors = [
        set(InPlace, "", 1u8.into()).unwrap_err(),
        set(InPlace, "general.alignment", 24u32.into()).unwrap_err(),
        set(InPlace, "general.alignment", "32".into()).unwrap_err(),
    ];
    use WriteErrorKind::{InvalidAlignment, InvalidKey};
    assert_eq!(errors.map(|e| e.kind()), [InvalidKey, InvalidAlignment, InvalidAlignment]);
    assert!(fs::read(&path).unwrap() == before);
    assert!(set(InPlace, "general.alignment", 32u32.into()).is_ok());
    assert_eq!(hash(&path).tensors, tensors);

    // A changed alignment moves the tensors.
    for alignment in [64u32, 4096, 8, 32] {
        assert_eq!(set(InPlace, "general.alignment", alignment.into()).unwrap(), Edited::Rewritten);
        assert_eq!(hash(&path).tensors, tensors, "alignment {alignment}");
        let moved = fs::read(&path).unwrap();
        assert!(moved == model(3).alignment(alignment).to_vec().unwrap(), "alignment {alignment}");
    }
    let done = edit_file(&path, InPlace, |edit| {
        assert!(edit.remove("general.alignment"));
        Ok::<_, WriteError>(())
    });
    assert_eq!(done.unwrap(), Edited::Rewritten);
    assert!(fs::read(&path).unwrap() == before);
    assert_eq!(folder.names(), ["m.gguf"], "no extra file remains");

    let text = folder.0.join("text");
    fs::write(&text, "no model").unwrap();
    let error = edit_file(&text, InPlace, |_| Ok::<_, WriteError>(())).unwrap_err();
    assert_eq!(error.kind(), WriteErrorKind::InvalidFile);
    assert!(error.to_string().contains("not a GGUF file"), "{error}");
    assert_eq!(
        edit_file(folder.0.join("absent"), InPlace, |_| Ok::<_, WriteError>(())).unwrap_err().kind(),
        WriteErrorKind::Io
    );
    assert!(!recover_file(&path).unwrap());
}

/// A write that fails leaves the old file, and no temporary file.
#[test]
fn a_failed_write_leaves_the_old_file() {
    let folder = Folder::new("atomic");
    let path = folder.0.join("m.gguf");
    fs::write(&path, "the old one").unwrap();
    let broken =
        model(1).tensor_from("x", GgmlType::F32, &[4], |_| Err(io::Error::other("the disk is full")));
    let error = broken.write_file(&path).unwrap_err();
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"the old one");
    assert_eq!(folder.names(), ["m.gguf"]);
}
