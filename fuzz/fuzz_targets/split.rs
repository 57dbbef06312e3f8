//! Sets of arbitrary files never panic; what is split comes together as it was.
#![no_main]

use happy_gguf::{Gguf, GgufSet, GgufWriter, SplitBy};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let [by, n, bytes @ ..] = bytes else { return };
    // Several files in one input: cut at every magic.
    let starts: Vec<usize> =
        (0..bytes.len()).filter(|i| bytes[*i..].starts_with(b"GGUF")).take(4).chain([bytes.len()]).collect();
    let files: Vec<&[u8]> = starts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
    let parsed: Vec<Gguf<'_>> = files.iter().filter_map(|file| Gguf::parse(file).ok()).collect();
    if let Ok(set) = GgufSet::new(parsed.iter().cloned().map(|gguf| ("file", gguf))) {
        for (part, tensor) in set.tensors() {
            assert_eq!(set.tensor(tensor.name).map(|(p, _)| p), Some(part));
        }
        // Parts may have types of unknown size, whose bytes take padding along; everything else must fit.
        let merged = GgufWriter::merge(&set).to_vec().expect("a merged file");
        assert_eq!(Gguf::parse(&merged).expect("a merged file").tensors().len(), set.tensors().count());
    }
    let Some(gguf) = parsed.into_iter().next() else { return };
    let by = match by % 2 {
        0 => SplitBy::Tensors(usize::from(*n)),
        _ => SplitBy::Bytes(u64::from(*n) * 16),
    };
    let whole = GgufWriter::merge(&GgufSet::from(gguf.clone())).to_vec().expect("a file");
    let whole = Gguf::parse(&whole).expect("a file");
    let parts = GgufWriter::split(&GgufSet::from(whole.clone()), by).expect("parts");
    let parts: Vec<Vec<u8>> = parts.iter().map(|part| part.to_vec().expect("a part")).collect();
    let set = parts.iter().map(|part| ("part", Gguf::parse(part).expect("a part")));
    let set = GgufSet::new(set).expect("a set");
    let again = GgufWriter::merge(&set).to_vec().expect("a merged file");
    if whole.tensors().all(|t| t.ty.layout().is_some()) {
        assert!(again == whole.bytes());
    }
});
