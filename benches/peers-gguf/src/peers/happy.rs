//! happy-gguf: bytes that are read first, and a borrowed view of them.

use std::fs;
use std::path::Path;

use happy_gguf::{GgmlType, GgufFile, GgufWriter};
use peers_gguf::{Peer, Result, Summary, TOKENS, Tensor, fnv};

pub const PEER: Peer = Peer { read, token_bytes, write: Some(write) };

fn read(path: &Path) -> Result<Summary> {
    let file = GgufFile::read(path)?;
    let gguf = file.view();
    let tensors = gguf.tensors().map(|t| Tensor {
        name: t.name.to_owned(),
        dims: t.dims.to_vec(),
        bytes: gguf.data(&t).map(fnv),
    });
    Ok(Summary { pairs: gguf.metadata().len(), tensors: tensors.collect() })
}

fn token_bytes(path: &Path) -> Result<usize> {
    let file = GgufFile::read(path)?;
    let tokens = file.view().metadata().get_strings(TOKENS)?;
    Ok(tokens.map(|token| token.as_bytes().len()).sum())
}

fn write(path: &Path) -> Result<()> {
    let data: Vec<u8> = [1.0f32, 2.0, 3.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let file =
        GgufWriter::new().kv("general.name", "made").tensor("t", GgmlType::F32, &[3], data).to_vec()?;
    Ok(fs::write(path, file)?)
}
