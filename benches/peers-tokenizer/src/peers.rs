//! The tokenizers that are compared, behind one interface.

use crate::Error;
use crate::llama_cpp::LlamaCpp;
use crate::texts::Text;
use crate::vocabulary::Vocabulary;
use cpu_time::ThreadTime;
use happy_gguf::GgufFile;
use happy_tokenizer::{EncodeOptions, Tokenizer};
use std::path::Path;

/// A tokenizer: how long it takes, and what it finds. All of them work on the thread that asks, and its processor time is
/// what counts: other programs take none of it.
pub(crate) trait Peer {
    fn name(&self) -> String;

    /// Loads the vocabulary (which is in the page cache), forgetting one that was loaded before; the seconds.
    fn load(&mut self) -> Result<f64, Error>;

    /// The seconds, and the ids: no special tokens added, none looked for.
    fn encode(&mut self, text: &Text) -> Result<(f64, Vec<u32>), Error>;
}

/// The version of a package that this one is built with.
fn version_of(package: &str) -> &'static str {
    let behind = include_str!("../Cargo.lock").split(&format!("name = \"{package}\"\nversion = \"")).nth(1);
    behind.and_then(|text| text.split('"').next()).unwrap_or("")
}

struct Ours<'v> {
    vocabulary: &'v Vocabulary,
    tokenizer: Option<Tokenizer>,
}

impl Peer for Ours<'_> {
    fn name(&self) -> String {
        "happy-tokenizer".to_owned()
    }

    fn load(&mut self) -> Result<f64, Error> {
        self.tokenizer = None;
        let start = ThreadTime::now();
        self.tokenizer = Some(Tokenizer::from_gguf(&GgufFile::read(&self.vocabulary.gguf)?)?);
        Ok(start.elapsed().as_secs_f64())
    }

    fn encode(&mut self, text: &Text) -> Result<(f64, Vec<u32>), Error> {
        let tokenizer = self.tokenizer.as_ref().ok_or("not loaded")?;
        let options = EncodeOptions { add_special: false, parse_special: false };
        let start = ThreadTime::now();
        let ids = tokenizer.encode(&text.text, options)?;
        Ok((start.elapsed().as_secs_f64(), ids))
    }
}

struct HuggingFace<'v> {
    vocabulary: &'v Vocabulary,
    tokenizer: Option<tokenizers::Tokenizer>,
}

impl Peer for HuggingFace<'_> {
    fn name(&self) -> String {
        format!("Hugging Face tokenizers {}", version_of("tokenizers"))
    }

    fn load(&mut self) -> Result<f64, Error> {
        self.tokenizer = None;
        let start = ThreadTime::now();
        let loaded = tokenizers::Tokenizer::from_bytes(&self.vocabulary.json).map_err(|e| e.to_string())?;
        let seconds = start.elapsed().as_secs_f64();
        self.tokenizer = Some(loaded);
        Ok(seconds)
    }

    fn encode(&mut self, text: &Text) -> Result<(f64, Vec<u32>), Error> {
        let tokenizer = self.tokenizer.as_ref().ok_or("not loaded")?;
        let start = ThreadTime::now();
        // Without the offsets: the library's fastest way.
        let encoding = tokenizer.encode_fast(text.text.as_str(), false).map_err(|e| e.to_string())?;
        let seconds = start.elapsed().as_secs_f64();
        Ok((seconds, encoding.get_ids().to_vec()))
    }
}

struct Kitoken<'v> {
    vocabulary: &'v Vocabulary,
    tokenizer: Option<kitoken::Kitoken>,
}

impl Peer for Kitoken<'_> {
    fn name(&self) -> String {
        format!("kitoken {}", version_of("kitoken"))
    }

    fn load(&mut self) -> Result<f64, Error> {
        self.tokenizer = None;
        let start = ThreadTime::now();
        let loaded =
            kitoken::Kitoken::from_tokenizers_slice(&self.vocabulary.json).map_err(|e| e.to_string())?;
        let seconds = start.elapsed().as_secs_f64();
        self.tokenizer = Some(loaded);
        Ok(seconds)
    }

    fn encode(&mut self, text: &Text) -> Result<(f64, Vec<u32>), Error> {
        let tokenizer = self.tokenizer.as_ref().ok_or("not loaded")?;
        let start = ThreadTime::now();
        // Its regular expressions overflow their stack on a long run of spaces, which it takes for impossible.
        let encode = || tokenizer.encode(&text.text, false);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(encode));
        let ids = result.map_err(|_| "it panicked")?.map_err(|e| e.to_string())?;
        Ok((start.elapsed().as_secs_f64(), ids))
    }
}

/// Ours first, then the peers; llama.cpp only where its Python package is.
pub(crate) fn all<'v>(
    vocabulary: &'v Vocabulary,
    environment: &Path,
    folder: &Path,
) -> Result<Vec<Box<dyn Peer + 'v>>, Error> {
    let mut peers: Vec<Box<dyn Peer + 'v>> = vec![
        Box::new(Ours { vocabulary, tokenizer: None }),
        Box::new(HuggingFace { vocabulary, tokenizer: None }),
        Box::new(Kitoken { vocabulary, tokenizer: None }),
    ];
    match LlamaCpp::start(&vocabulary.gguf, environment, folder)? {
        Some(llama_cpp) => peers.push(Box::new(llama_cpp)),
        None => eprintln!(
            "llama.cpp: not measured: no Python environment at {} (`cargo xtask bench-peer` makes one)",
            environment.display()
        ),
    }
    Ok(peers)
}
