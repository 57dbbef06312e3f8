//! Writes seeds for the fuzz targets: `cargo run --bin make_seeds`. One small file of each kind of value, type, version and
//! byte order, and a few that are wrong; for `blocks` a few rows for each format; for the tokenizer a few texts and ids in
//! each vocabulary; for the rest what `text_seeds.rs` lists. They go into `corpus/TARGET/`.

mod text_seeds;

use std::path::Path;
use std::{fs, io};

use happy_fuzz::vocabularies::VOCABULARIES;
use happy_gguf::{
    ByteOrder, GgmlType, Gguf, GgufSet, GgufWriter, OwnedArray, OwnedValue, SplitBy, ValueType,
};
use happy_tensor::{DType, quantize_row};
use happy_tokenizer::EncodeOptions;

/// Targets of files, and how many bytes each takes in front of the file.
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

/// Seeds of `encode`, `decode_stream` and `marked`: the vocabulary's number, the options and places in front.
fn tokenizer_seeds() -> [Vec<(String, Vec<u8>)>; 3] {
    let [mut encode, mut decode, mut marked] = [const { Vec::new() }; 3];
    for (which, vocabulary) in VOCABULARIES.iter().enumerate() {
        for (i, text) in TEXTS.iter().enumerate() {
            let encoded = vocabulary.tokenizer.encode(text, EncodeOptions::default()).unwrap_or_default();
            let ids: Vec<u8> = encoded.iter().flat_map(|id| (*id as u16).to_le_bytes()).collect();
            let (name, which, how) = (format!("{}-{i}", vocabulary.name), which as u8, i as u8);
            encode.push((name.clone(), [&[which, how, 100], text.as_bytes()].concat()));
            marked.push((name.clone(), [&[which, how, 20, 40, 60, 100, 150, 220], text.as_bytes()].concat()));
            decode.push((name, [&[which, how], &*ids].concat()));
        }
    }
    [encode, decode, marked]
}

/// Inputs of `blocks`: the number of a format, an exponent, and a row: of floats, of integers, or encoded.
fn block_seeds() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (number, dtype) in (0u8..).zip(DType::ALL) {
        let x: Vec<f32> = (0..dtype.block_len()).map(|i| (i as f32 * 0.7).sin()).collect();
        let floats: Vec<u8> = x.iter().flat_map(|x| x.to_le_bytes()).collect();
        let odd: Vec<u8> = [f32::NAN, f32::INFINITY, f32::MAX, -0.0, f32::MIN_POSITIVE / 2.0]
            .iter()
            .cycle()
            .take(x.len())
            .flat_map(|x| x.to_le_bytes())
            .collect();
        let integers: Vec<u8> = x.iter().flat_map(|x| ((x * 32767.0) as i16).to_le_bytes()).collect();
        let mut encoded = vec![0; dtype.block_bytes()];
        if quantize_row(dtype, &x, &mut encoded).is_err() {
            continue;
        }
        let rows = [("floats", floats), ("odd", odd), ("integers", integers), ("encoded", encoded)];
        for (name, row) in rows {
            seeds.push((format!("{dtype}-{name}"), [&[number, 10], &row[..]].concat()));
        }
    }
    seeds
}

fn write(target: &str, seeds: &[(String, Vec<u8>)], prefix: &[u8]) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    seeds.iter().try_for_each(|(name, seed)| fs::write(folder.join(name), [prefix, seed].concat()))
}

fn main() -> io::Result<()> {
    let files = seeds();
    TARGETS.iter().try_for_each(|(target, prefix)| write(target, &files, &[40u8, 1][..*prefix]))?;
    write("blocks", &block_seeds(), &[])?;
    let [encode, decode, marked] = tokenizer_seeds();
    write("encode", &encode, &[])?;
    write("decode_stream", &decode, &[])?;
    write("marked", &marked, &[])?;
    text_seeds::seeds().iter().try_for_each(|(target, seeds)| write(target, seeds, &[]))
}
