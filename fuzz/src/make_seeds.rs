//! Writes seeds for the fuzz targets: `cargo run --bin make_seeds`. One small file of each kind of value, type, version and
//! byte order, and a few that are wrong, into `corpus/TARGET/`; for the tokenizer, a few texts and ids in each vocabulary.

use std::path::Path;
use std::{fs, io};

use happy_gguf::{
    ByteOrder, GgmlType, Gguf, GgufSet, GgufWriter, OwnedArray, OwnedValue, SplitBy, ValueType,
};
use happy_tokenizer::EncodeOptions;
use vocabularies::VOCABULARIES;

/// Targets, and how many bytes each takes in front of the file.
const TARGETS: [(&str, usize); 5] =
    [("parse", 0), ("roundtrip", 0), ("prefix", 2), ("header_stream", 1), ("split", 2)];

fn values() -> Vec<OwnedValue> {
    let nested = OwnedArray::arrays([OwnedArray::packed([1u8, 2]), OwnedArray::strings(["x"])]);
    vec![
        1u8.into(),
        (-1i8).into(),
        2u16.into(),
        (-2i16).into(),
        3u32.into(),
        (-3i32).into(),
        0.5f32.into(),
        true.into(),
        "text".into(),
        4u64.into(),
        (-4i64).into(),
        0.25f64.into(),
        vec![1u16, 2].into(),
        vec![true, false].into(),
        vec!["a", "", "bc"].into(),
        vec![1.0f32, f32::NAN].into(),
        nested.into(),
        OwnedArray::new(ValueType::String).into(),
    ]
}

fn seeds() -> Vec<(String, Vec<u8>)> {
    let all = values().into_iter().enumerate();
    let pairs = all.clone().fold(GgufWriter::new(), |w, (i, v)| w.kv(format!("test.k{i}"), v));
    let tensors = |w: GgufWriter<'static>| {
        w.tensor("a", GgmlType::F32, &[3, 2], vec![1; 24])
            .tensor("b", GgmlType::Q4_0, &[32], vec![2; 18])
            .tensor("c", GgmlType::I8, &[], vec![3])
    };
    let whole = tensors(GgufWriter::new().alignment(64).kv("general.architecture", "llama"));
    let mut writers: Vec<(String, GgufWriter<'_>)> =
        all.map(|(i, v)| (format!("value-{i}"), GgufWriter::new().kv("k", v))).collect();
    for ty in GgmlType::ALL {
        let Some(layout) = ty.layout() else { continue };
        let bytes = vec![0; layout.bytes as usize];
        writers.push((format!("type-{ty}"), GgufWriter::new().tensor("t", *ty, &[layout.len.into()], bytes)));
    }
    for version in 1..=3 {
        for order in [ByteOrder::Little, ByteOrder::Big] {
            for (name, writer) in [("empty", &GgufWriter::new()), ("pairs", &pairs), ("tensors", &whole)] {
                let writer = writer.clone().version(version).byte_order(order);
                writers.push((format!("{name}-v{version}-{order}"), writer));
            }
        }
    }
    writers.push((
        "unknown-type".into(),
        GgufWriter::new().tensor("t", GgmlType::Unknown(99), &[5], vec![1; 7]),
    ));
    let mut seeds: Vec<(String, Vec<u8>)> =
        writers.into_iter().filter_map(|(name, w)| Some((name, w.to_vec().ok()?))).collect();

    let file = whole.to_vec().unwrap_or_default();
    if let Ok(gguf) = Gguf::parse(&file)
        && let Ok(parts) = GgufWriter::split(&GgufSet::from(gguf), SplitBy::Tensors(1))
    {
        let parts: Vec<u8> = parts.iter().filter_map(|part| part.to_vec().ok()).flatten().collect();
        seeds.push(("parts".into(), parts));
    }
    seeds.push(("cut".into(), file[..file.len() / 2].to_vec()));
    seeds.push(("count".into(), [&file[..8], &[0xff; 16], &file[24..]].concat()));
    seeds
}

/// Of different scripts, numbers, white space, and strings that the vocabularies have.
const TEXTS: [&str; 5] = [
    "It's the\u{a0}end: 12345.67 [USER] abab aaaa<|end|>> it'LL\r\n\n    x += 1;\t// HelloWorld",
    "中文、한국어 ガギグ กั้น naïve e\u{301}\u{301} Привет, 😀👩\u{200d}💻 ﷺ Ⅷ ½",
    "a [b[US[USER]<s></s><unk>\u{2581}\u{2581}a  ab\u{feff}Z <0x41> [MASK] \0",
    "<sentinel:12>IMGIMGABZ     a1b22c333d4444 \u{85}\u{3000}\u{1680}!?'\"",
    "",
];

/// Seeds of `encode` and `decode_stream`: the vocabulary's number and the options in front.
fn tokenizer_seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (which, vocabulary) in VOCABULARIES.iter().enumerate() {
        for (i, text) in TEXTS.iter().enumerate() {
            let encoded = vocabulary.tokenizer.encode(text, EncodeOptions::default()).unwrap_or_default();
            let ids: Vec<u8> = encoded.iter().flat_map(|id| (*id as u16).to_le_bytes()).collect();
            let (name, which, how) = (format!("{}-{i}", vocabulary.name), which as u8, i as u8);
            seeds.push(("encode", name.clone(), [&[which, how, 100], text.as_bytes()].concat()));
            seeds.push(("decode_stream", name, [&[which, how], &*ids].concat()));
        }
    }
    seeds
}

fn main() -> io::Result<()> {
    for (target, name, seed) in tokenizer_seeds() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), seed)?;
    }
    for (target, prefix) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        fs::create_dir_all(&folder)?;
        for (name, file) in seeds() {
            fs::write(folder.join(name), [&[40u8, 1][..prefix], &file].concat())?;
        }
    }
    Ok(())
}
