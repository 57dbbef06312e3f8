//! Refused memory: each allocation of 4 KiB or more is refused once. The result is an error, never an abort, and no file is left.

mod support;

use happy_gguf::{GgmlType, GgufSetReader, GgufWriter, Limits};
use happy_quantize::{Imatrix, Mix, QuantizeError, QuantizeErrorKind as Kind, Quantizer, RunOptions};
use happy_testkit::{Meter, refusing};
use std::path::Path;
use support::{Folder, floats, model, older};

#[global_allocator]
static METER: Meter = Meter;

type Work = (&'static str, fn(&Folder) -> Result<(), QuantizeError>);

fn quantize(folder: &Folder, matrix: Option<&Path>) -> Result<(), QuantizeError> {
    let mut quantizer = Quantizer::new(Mix::Q4KM);
    if let Some(path) = matrix {
        quantizer = quantizer.with_imatrix(Imatrix::read(path)?);
    }
    let model = GgufSetReader::open(folder.path("m.gguf"), &Limits::default())?;
    let plan = quantizer.plan(&model)?;
    plan.file_len()?;
    // Only allocations of this thread are refused.
    plan.write_file(folder.path("out.gguf"), &RunOptions { threads: 1, ..RunOptions::default() }).map(drop)
}

const WORK: [Work; 3] = [
    ("plain", |folder| quantize(folder, None)),
    ("GGUF matrix", |folder| quantize(folder, Some(&folder.path("i.gguf")))),
    ("older matrix", |folder| quantize(folder, Some(&folder.path("i.dat")))),
];

#[test]
fn each_allocation_is_refused_once() {
    let folder = Folder::new("allocation");
    // Rows of 8 KiB, and tables of more than 4.
    let columns = 2048;
    let extra = (0..300).map(|i| format!("a_longer_name_of_a_tensor.{i}"));
    extra
        .fold(model("llama", 1, columns, 2), |w, name| w.tensor(name, GgmlType::F32, &[1], floats(&[1.0])))
        .write_file(folder.path("m.gguf"))
        .expect("a file");
    let name = "blk.0.attn_q.weight";
    let weights = vec![2.0; columns];
    std::fs::write(folder.path("i.dat"), older(name.as_bytes(), 1, &weights)).expect("a file");
    GgufWriter::new()
        .tensor(format!("{name}.in_sum2"), GgmlType::F32, &[columns as u64], floats(&weights))
        .tensor(format!("{name}.counts"), GgmlType::F32, &[1], floats(&[1.0]))
        .write_file(folder.path("i.gguf"))
        .expect("a file");
    let before = folder.names();
    let mut failures = Vec::new();
    for (what, work) in WORK {
        let mut refused = 0;
        for n in 1.. {
            let (done, any) = refusing(n, || work(&folder));
            if !any {
                if let Err(error) = done {
                    failures.push(format!("{what}: {error}"));
                }
                break;
            }
            refused += 1;
            match done {
                Err(e) if e.kind() == Kind::OutOfMemory && folder.names() == before => {}
                // A hash table may manage with less.
                Ok(()) => {}
                other => failures.push(format!("{what}, {n}: {other:?}: {:?}", folder.names())),
            }
            let _ = std::fs::remove_file(folder.path("out.gguf"));
        }
        let _ = std::fs::remove_file(folder.path("out.gguf"));
        if refused < 5 {
            failures.push(format!("{what}: {refused} allocations refused"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
