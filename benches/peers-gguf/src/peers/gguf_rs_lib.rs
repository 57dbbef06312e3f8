//! gguf-rs-lib: a reader over anything that reads and seeks, which loads tensors by name.

use std::path::Path;

use gguf_rs_lib::builder::GGUFBuilder;
use gguf_rs_lib::format::metadata::MetadataValue;
use gguf_rs_lib::reader::open_gguf_file;
use peers_gguf::{Peer, Result, Summary, TOKENS, Tensor, fnv};

pub const PEER: Peer = Peer { read, token_bytes, write: Some(write) };

fn read(path: &Path) -> Result<Summary> {
    let mut reader = open_gguf_file(path)?;
    let infos: Vec<(String, Vec<u64>)> =
        reader.tensor_infos().iter().map(|t| (t.name().to_owned(), t.shape().dims().to_vec())).collect();
    let mut tensors = Vec::new();
    for (name, dims) in infos {
        let bytes = reader.load_tensor_data(&name)?.map(|data| fnv(data.as_slice()));
        tensors.push(Tensor { name, dims, bytes });
    }
    Ok(Summary { pairs: reader.metadata().len(), tensors })
}

fn token_bytes(path: &Path) -> Result<usize> {
    let reader = open_gguf_file(path)?;
    let Some(MetadataValue::Array(tokens)) = reader.metadata().get(TOKENS) else {
        return Err("no tokens".into());
    };
    Ok(tokens.iter().filter_map(|token| token.as_str()).map(str::len).sum())
}

fn write(path: &Path) -> Result<()> {
    GGUFBuilder::new()
        .add_metadata("general.name", MetadataValue::String("made".into()))
        .add_f32_tensor("t", vec![3], vec![1.0, 2.0, 3.0])?
        .build_to_file(path)?;
    Ok(())
}
