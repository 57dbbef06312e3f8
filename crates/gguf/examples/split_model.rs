//! Splits a model into files of at most so many bytes of tensors, and checks that nothing was lost:
//! `cargo run -p happy-gguf --example split_model -- model.gguf out/model 1000000000`

use happy_gguf::{ContentHash, GgufSetFile, GgufSetReader, GgufWriter, Limits, SplitBy, WriteOptions};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path, prefix, bytes] = &args[..] else {
        return Err("usage: split_model FILE.gguf PREFIX BYTES_PER_PART".into());
    };
    // Tensors are read while they are written, so this needs little memory, and no map.
    let model = GgufSetReader::open(path, &Limits::default())?;
    let parts = model.split(SplitBy::Bytes(bytes.parse()?))?;
    let options = WriteOptions { replace: false, ..WriteOptions::default() };
    let paths = GgufWriter::write_parts(&parts, Path::new(prefix), &options)?;
    for path in &paths {
        println!("{}", path.display());
    }

    // Any part opens the whole model. The hash does not depend on how a model is split.
    let split = GgufSetFile::read(paths.last().ok_or("no parts")?)?;
    let original = ContentHash::of_reader(&model, |_, _| (), &|| false)?;
    if ContentHash::of(&split.view()) != original {
        return Err("the parts differ from the model".into());
    }
    println!("{}", ContentHash::hex(&original.content));
    Ok(())
}
