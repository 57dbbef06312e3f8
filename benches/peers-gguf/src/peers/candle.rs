//! candle-core: `quantized::gguf_file`, over anything that reads and seeks; tensors become `QTensor`s.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use candle_core::quantized::gguf_file::{self, Content, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor as Dense};
use peers_gguf::{Peer, Result, Summary, TOKENS, Tensor, fnv};

pub const PEER: Peer = Peer { read, token_bytes, write: Some(write) };

fn read(path: &Path) -> Result<Summary> {
    let mut file = BufReader::new(File::open(path)?);
    let content = Content::read(&mut file)?;
    let mut tensors = Vec::new();
    for (name, info) in &content.tensor_infos {
        let tensor = content.tensor(&mut file, name, &Device::Cpu)?;
        // Its shapes name the slowest dimension first.
        let dims = info.shape.dims().iter().rev().map(|d| *d as u64).collect();
        tensors.push(Tensor { name: name.clone(), dims, bytes: Some(fnv(&tensor.data()?)) });
    }
    Ok(Summary { pairs: content.metadata.len(), tensors })
}

fn token_bytes(path: &Path) -> Result<usize> {
    let content = Content::read(&mut BufReader::new(File::open(path)?))?;
    let tokens = content.metadata.get(TOKENS).ok_or("no tokens")?.to_vec()?;
    let len = |token: &Value| token.to_string().map(|s| s.len());
    Ok(tokens.iter().map(len).sum::<candle_core::Result<usize>>()?)
}

fn write(path: &Path) -> Result<()> {
    let dense = Dense::new(&[1.0f32, 2.0, 3.0], &Device::Cpu)?;
    let tensor = QTensor::quantize(&dense, GgmlDType::F32)?;
    let name = Value::String("made".into());
    Ok(gguf_file::write(&mut File::create(path)?, &[("general.name", &name)], &[("t", &tensor)])?)
}
