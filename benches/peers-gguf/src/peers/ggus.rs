//! ggus: a borrowed view of bytes; a tensor's bytes are sliced from `data` with its offset and size, as its README does.

use std::fs::{self, File};
use std::path::Path;

use ggus::{
    GGmlType, GGuf, GGufFileHeader, GGufFileWriter, GGufMetaDataValueType, GGufMetaMap, GGufMetaMapExt,
};
use peers_gguf::{Peer, Result, Summary, TOKENS, Tensor, fnv};

pub const PEER: Peer = Peer { read, token_bytes, write: Some(write) };

fn read(path: &Path) -> Result<Summary> {
    let bytes = fs::read(path)?;
    let gguf = GGuf::new(&bytes)?;
    let mut tensors = Vec::new();
    for (name, meta) in &gguf.tensors {
        let info = meta.to_info();
        let bytes = &gguf.data[info.offset()..][..info.nbytes()];
        tensors.push(Tensor {
            name: (*name).to_owned(),
            dims: info.shape().to_vec(),
            bytes: Some(fnv(bytes)),
        });
    }
    Ok(Summary { pairs: gguf.meta_kvs.len(), tensors })
}

fn token_bytes(path: &Path) -> Result<usize> {
    let bytes = fs::read(path)?;
    let gguf = GGuf::new(&bytes)?;
    if gguf.get(TOKENS).is_none() {
        return Err("no tokens".into());
    }
    let tokens = gguf.tokenizer_ggml_tokens().map_err(|e| format!("{e:?}"))?;
    let mut sum = 0;
    for token in tokens {
        sum += token.map_err(|e| format!("{e:?}"))?.len();
    }
    Ok(sum)
}

fn write(path: &Path) -> Result<()> {
    let mut file = GGufFileWriter::new(File::create(path)?, GGufFileHeader::new(3, 1, 1))?;
    // A string is written with its length in front.
    let name = [&4u64.to_le_bytes()[..], b"made"].concat();
    file.write_meta_kv("general.name", GGufMetaDataValueType::String, &name)?;
    let data: Vec<u8> = [1.0f32, 2.0, 3.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut tensors = file.finish::<Vec<u8>>(true);
    tensors.write_tensor("t", GGmlType::F32, &[3], data)?;
    tensors.finish()?;
    Ok(())
}
