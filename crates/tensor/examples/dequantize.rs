//! Decodes a run of elements at a given offset of a file, and prints their first values and statistics.
//!
//! ```text
//! cargo run -p happy-tensor --example dequantize -- model.gguf Q4_K 1622176 163840
//! ```
//!
//! `list_tensors` of happy-gguf lists the types and offsets of a file's tensors. The tensor is decoded piece by piece, so that
//! memory does not grow with its size.

use std::error::Error;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use happy_tensor::{DType, dequantize_row};

const USAGE: &str = "usage: dequantize FILE TYPE OFFSET ELEMENTS";

/// Number of elements decoded at a time: a multiple of every block length.
const CHUNK: usize = 4096;

fn main() {
    if let Err(e) = run() {
        eprintln!("error: {e}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path, dtype, offset, elements] = args.as_slice() else { return Err(USAGE.into()) };
    let dtype: DType = dtype.parse()?;
    let offset: u64 = offset.parse().map_err(|e| format!("offset {offset:?}: {e}"))?;
    let elements: usize = elements.parse().map_err(|e| format!("elements {elements:?}: {e}"))?;
    println!("{elements} x {dtype}: {} bytes at {offset}", dtype.row_bytes(elements)?);

    let mut file = File::open(path).map_err(|e| format!("{path}: {e}"))?;
    file.seek(SeekFrom::Start(offset))?;
    let (mut min, mut max, mut sum, mut squares) = (f32::INFINITY, f32::NEG_INFINITY, 0.0, 0.0);
    let (mut non_finite, mut done) = (0, 0);
    while done < elements {
        let n = CHUNK.min(elements - done);
        let mut bytes = vec![0; dtype.row_bytes(n)?];
        let mut values = vec![0.0; n];
        file.read_exact(&mut bytes).map_err(|e| format!("{path}: after element {done}: {e}"))?;
        dequantize_row(dtype, &bytes, &mut values)?;
        if done == 0 {
            println!("first: {:?}", values.iter().take(8).collect::<Vec<_>>());
        }
        for v in values {
            if v.is_finite() {
                (min, max) = (min.min(v), max.max(v));
                sum += f64::from(v);
                squares += f64::from(v) * f64::from(v);
            } else {
                non_finite += 1;
            }
        }
        done += n;
    }
    let finite = (elements - non_finite) as f64;
    println!("min {min}, max {max}, mean {:.6}, rms {:.6}", sum / finite, (squares / finite).sqrt());
    println!("{non_finite} values are not finite");
    Ok(())
}
