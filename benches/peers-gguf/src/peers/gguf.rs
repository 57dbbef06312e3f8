//! gguf: a parser of bytes in memory; it hands out offsets, no data.

use std::fs;
use std::path::Path;

use gguf::{GGUFFile, GGUFMetadataValue};
use peers_gguf::{Peer, Result, Summary, TOKENS, Tensor};

pub const PEER: Peer = Peer { read, token_bytes, write: None };

fn parse(path: &Path) -> Result<GGUFFile> {
    Ok(GGUFFile::read(&fs::read(path)?)?.ok_or("incomplete")?)
}

fn read(path: &Path) -> Result<Summary> {
    let file = parse(path)?;
    let tensors = file.tensors.into_iter().map(|t| Tensor { name: t.name, dims: t.dimensions, bytes: None });
    Ok(Summary { pairs: file.header.metadata.len(), tensors: tensors.collect() })
}

fn token_bytes(path: &Path) -> Result<usize> {
    let file = parse(path)?;
    let tokens = file.header.metadata.iter().find(|pair| pair.key == TOKENS).ok_or("no tokens")?;
    let GGUFMetadataValue::Array(tokens) = &tokens.value else { return Err("no array".into()) };
    let len = |token: &GGUFMetadataValue| match token {
        GGUFMetadataValue::String(s) => s.len(),
        _ => 0,
    };
    Ok(tokens.value.iter().map(len).sum())
}
