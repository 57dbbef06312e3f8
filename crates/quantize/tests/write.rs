//! The output, with any number of threads, and runs that end early.

mod support;

use happy_gguf::{GgmlType, Gguf, GgufSet, GgufWriter, SplitBy};
use happy_quantize::{Imatrix, Mix, Progress, QuantizeErrorKind as Kind, Quantizer, RunOptions};
use happy_tensor::{DType, quantize_row, quantize_row_weighted};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{Folder, floats, model, older, open, values};

/// Each row is what `quantize_row` makes, with any number of threads, in a file and in a vector, for a whole model and a split one.
#[test]
fn rows_are_encoded_one_by_one() {
    let folder = Folder::new("rows");
    let (columns, rows) = (512, 100);
    let path = folder.path("m.gguf");
    model("llama", 1, columns, rows).kv("split.note", 1u32).write_file(&path).expect("a file");
    let bytes = std::fs::read(&path).expect("the file");
    let set = GgufSet::from(Gguf::parse(&bytes).expect("a model"));
    let parts = GgufWriter::write_split(&set, SplitBy::Tensors(4), folder.path("p")).expect("parts");
    let first: PathBuf = folder.path("p-00001-of-00003.gguf");
    assert!(first.exists(), "{parts:?}");

    let mut weights = vec![1.0; columns];
    weights[..9].fill(300.0);
    let imatrix = Imatrix::parse(&older(b"blk.0.ffn_up.weight", 1, &weights)).expect("a matrix");
    let quantizer = Quantizer::new(Mix::Q5_0).with_imatrix(imatrix);
    let mut outputs = Vec::new();
    for (input, threads) in [(&path, 0), (&path, 1), (&path, 3), (&path, 64), (&first, 2)] {
        let input = open(input);
        let plan = quantizer.plan(&input).expect("a plan");
        let options = RunOptions { threads, ..RunOptions::default() };
        let out = folder.path("out.gguf");
        let len = plan.write_file(&out, &options).expect("a file");
        let mut written = Vec::new();
        assert_eq!(plan.write_to(&mut written, &options).ok(), Some(len));
        assert_eq!((plan.file_len().ok(), written.len() as u64), (Some(len), len));
        outputs.push(std::fs::read(&out).expect("the output"));
        outputs.push(written);
    }
    assert!(outputs.iter().all(|o| *o == outputs[0]));

    let gguf = Gguf::parse(&outputs[0]).expect("a valid file");
    gguf.check_strict().expect("no deviations");
    let metadata = gguf.metadata();
    assert_eq!(metadata.require::<u32>("general.file_type").ok(), Some(8));
    assert_eq!(metadata.require::<u32>("general.quantization_version").ok(), Some(2));
    assert!(metadata.get("split.note").is_none());
    let data =
        |name: &str| gguf.tensor(name).map(|t| (t.ty.name(), gguf.data(&t).unwrap_or_default().to_vec()));
    for (name, seed, weights) in
        [("blk.0.attn_q.weight", 2, None), ("blk.0.ffn_up.weight", 7, Some(&weights))]
    {
        let mut expected = Vec::new();
        for x in values(columns * rows, seed).chunks(columns) {
            let mut row = vec![0; DType::Q5_0.row_bytes(columns).expect("a size")];
            match weights {
                Some(w) => quantize_row_weighted(DType::Q5_0, x, w, &mut row),
                None => quantize_row(DType::Q5_0, x, &mut row),
            }
            .expect("a row");
            expected.extend(row);
        }
        assert_eq!(data(name), Some(("Q5_0", expected)), "{name}");
    }
    assert_eq!(data("output_norm.weight"), Some(("F32", floats(&values(columns, 9)))));
}

#[test]
fn progress_ends_at_the_total() {
    let folder = Folder::new("progress");
    let path = folder.path("m.gguf");
    model("llama", 2, 256, 8).write_file(&path).expect("a file");
    let input = open(&path);
    let quantizer = Quantizer::new(Mix::Q4KM);
    let plan = quantizer.plan(&input).expect("a plan");
    let seen = Mutex::new(Vec::new());
    let progress = |p: &Progress<'_>| {
        let mut seen = seen.lock().expect("no panic");
        seen.push((p.tensor.info.name.to_owned(), p.tensor_done, p.done, p.total));
    };
    plan.write_to(std::io::sink(), &RunOptions { progress: &progress, ..RunOptions::default() })
        .expect("bytes");
    let seen = seen.into_inner().expect("no panic");
    assert!(seen.is_sorted_by_key(|(_, _, done, _)| *done));
    let begun: Vec<&str> = seen.iter().filter(|s| s.1 == 0).map(|s| &*s.0).collect();
    assert_eq!(begun, plan.tensors().iter().map(|t| t.info.name).collect::<Vec<_>>());
    assert_eq!(seen.last().map(|(_, _, done, total)| done == total), Some(true), "{seen:?}");
}

/// If any call of `cancelled` returns true, the result is an error and the folder is as before.
#[test]
fn cancelled_work_leaves_nothing() {
    let folder = Folder::new("cancel");
    let path = folder.path("m.gguf");
    // More than one group, and several tasks in each.
    let bytes = floats(&values(256 * 5000, 1));
    model("llama", 1, 256, 4)
        .tensor("blk.9.ffn_up.weight", GgmlType::F32, &[256, 5000], bytes)
        .write_file(&path)
        .expect("a file");
    let input = open(&path);
    let quantizer = Quantizer::new(Mix::Q8_0);
    let plan = quantizer.plan(&input).expect("a plan");
    let out = folder.path("out.gguf");
    let run = |n: usize| {
        let asked = AtomicUsize::new(0);
        let cancelled = || asked.fetch_add(1, Ordering::Relaxed) >= n;
        let done =
            plan.write_file(&out, &RunOptions { threads: 1, cancelled: &cancelled, ..RunOptions::default() });
        (done, asked.load(Ordering::Relaxed))
    };
    let (done, questions) = run(usize::MAX);
    assert!(done.is_ok());
    // At least one call per task of 16,384 elements.
    assert!(questions > 256 * 5000 / (16 << 10), "{questions}");
    std::fs::remove_file(&out).expect("the output");
    for n in (0..questions).step_by(7).chain([questions - 1]) {
        let (done, _) = run(n);
        assert_eq!(done.map_err(|e| e.kind()), Err(Kind::Cancelled), "question {n}");
        assert_eq!(folder.names(), ["m.gguf"], "question {n}");
    }
}

/// The first row that cannot be encoded, whichever thread finds it; a truncated input; an existing output.
#[test]
fn failures_say_where() {
    let folder = Folder::new("failures");
    let (path, out) = (folder.path("m.gguf"), folder.path("out.gguf"));
    let (columns, rows) = (256, 2000);
    let mut x = values(columns * rows, 1);
    for row in [1999, 700, 1500] {
        x[row * columns + 3] = f32::NAN;
    }
    let write = |x: &[f32]| {
        let dims = [columns as u64, rows as u64];
        GgufWriter::new()
            .tensor("a.weight", GgmlType::F32, &dims, floats(x))
            .write_file(&path)
            .expect("a file")
    };
    write(&x);
    let quantizer = Quantizer::new(Mix::Q8_0);
    let fail = |threads: usize, replace: bool| {
        let input = open(&path);
        let plan = quantizer.plan(&input).expect("a plan");
        // The input is truncated after it was opened.
        if threads == 0 {
            let file = std::fs::File::options().write(true).open(&path).expect("the file");
            file.set_len(5000).expect("a cut");
        }
        plan.write_file(&out, &RunOptions { threads, replace, ..RunOptions::default() }).expect_err("no file")
    };
    for threads in [1, 2, 8] {
        let error = fail(threads, true);
        assert_eq!((error.kind(), error.tensor()), (Kind::NotFinite, Some("a.weight")));
        let expected = "tensor `a.weight`: row 700: element 3 is NaN, expected a finite number";
        assert_eq!(error.to_string(), expected, "{threads} threads");
    }
    write(&values(columns * rows, 1));
    let error = fail(0, true);
    assert!(error.kind() == Kind::Read && error.to_string().contains("m.gguf"), "{error}");
    write(&values(columns * rows, 1));
    std::fs::write(&out, b"old").expect("a file");
    let error = fail(1, false);
    assert!(error.kind() == Kind::Write && error.to_string().contains("out.gguf"), "{error}");
    assert_eq!(std::fs::read(&out).ok().as_deref(), Some(&b"old"[..]));
    assert_eq!(folder.names(), ["m.gguf", "out.gguf"]);
}
