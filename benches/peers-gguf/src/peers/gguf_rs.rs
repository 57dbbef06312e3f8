//! gguf-rs: reads a file by its path; it hands out offsets, no data.

use std::path::Path;

use gguf_rs::writer::{GGUFWriter, TensorInfo};
use gguf_rs::{GGUFModel, get_gguf_container_array_size};
use peers_gguf::{Peer, Result, Summary, TOKENS, Tensor};

pub const PEER: Peer = Peer { read, token_bytes, write: Some(write) };

fn parse(path: &Path) -> Result<GGUFModel> {
    // Arrays whole; by default it keeps their first three elements.
    let file = path.to_str().ok_or("a path that is not UTF-8")?;
    Ok(get_gguf_container_array_size(file, u64::MAX)?.decode()?)
}

fn read(path: &Path) -> Result<Summary> {
    let model = parse(path)?;
    // Shapes are filled up to four dimensions.
    let tensors = model.tensors().iter().map(|t| Tensor {
        name: t.name.clone(),
        dims: t.shape.iter().copied().take(t.n_dimensions as usize).collect(),
        bytes: None,
    });
    Ok(Summary { pairs: model.metadata().len(), tensors: tensors.collect() })
}

fn token_bytes(path: &Path) -> Result<usize> {
    let model = parse(path)?;
    let tokens = model.metadata().get(TOKENS).and_then(|tokens| tokens.as_array()).ok_or("no tokens")?;
    Ok(tokens.iter().filter_map(|token| token.as_str()).map(str::len).sum())
}

fn write(path: &Path) -> Result<()> {
    let mut writer = GGUFWriter::new(path, 3)?;
    writer.add_metadata("general.name", "made");
    writer.add_tensor(TensorInfo { name: "t".into(), shape: vec![3], dtype: 0 });
    writer.write()?;
    let data: Vec<u8> = [1.0f32, 2.0, 3.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    writer.write_tensor_data(0, &data)?;
    Ok(writer.finalize()?)
}
