//! Both formats of importance matrices, and files that are refused.

mod support;

use happy_gguf::{ByteOrder, GgmlType, GgufWriter};
use happy_quantize::{Imatrix, QuantizeErrorKind as Kind};
use happy_testkit::{Meter, measured};
use support::{Folder, floats, older};

#[global_allocator]
static METER: Meter = Meter;

fn gguf(sums: &[f32], counts: &[f32]) -> GgufWriter<'static> {
    GgufWriter::new().tensor("w.in_sum2", GgmlType::F32, &[sums.len() as u64], floats(sums)).tensor(
        "w.counts",
        GgmlType::F32,
        &[counts.len() as u64],
        floats(counts),
    )
}

#[test]
fn both_formats_give_means() {
    let cases = [
        ("GGUF", gguf(&[2.0, 4.0], &[2.0]).to_vec().expect("a file"), vec![1.0, 2.0]),
        // Two experts, the second of which was never used.
        (
            "experts",
            gguf(&[2.0, 4.0, 0.0, 0.0], &[4.0, 0.0]).to_vec().expect("a file"),
            vec![0.5, 1.0, 1.0, 1.0],
        ),
        ("older", older(b"w", 2, &[2.0, 4.0]), vec![1.0, 2.0]),
        ("older, no calls", older(b"w", 0, &[2.0]), vec![2.0]),
    ];
    for (what, bytes, expected) in cases {
        let matrix = Imatrix::parse(&bytes).expect(what);
        assert_eq!(matrix.get("w"), Some(&expected[..]), "{what}");
        assert_eq!((matrix.names().collect::<Vec<_>>(), matrix.get("v")), (vec!["w"], None), "{what}");
    }
}

#[test]
fn other_bytes_are_refused() {
    let good = older(b"w", 1, &[1.0; 8]);
    let other = |bytes: &[u8], at: usize, word: i32| {
        let mut bytes = bytes.to_vec();
        bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
        bytes
    };
    let no_counts = GgufWriter::new().tensor("w.in_sum2", GgmlType::F32, &[1], floats(&[1.0]));
    let cases = [
        ("empty", Vec::new(), "expected 4 bytes at offset 0, found 0"),
        ("no entries", vec![0; 4], "expected entries, found none"),
        ("cut", good[..30].to_vec(), "at offset 17, found 13"),
        ("count below 0", other(&good, 0, -1), "expected a count at offset 0, found -1"),
        ("length of a name", other(&good, 4, i32::MAX), "expected 2147483647 bytes at offset 8"),
        ("values", other(&good, 13, i32::MAX), "bytes at offset 17"),
        ("name", older(b"\xff", 1, &[1.0]), "a name in UTF-8 at offset 8"),
        ("NaN", older(b"w", 1, &[f32::NAN]), "found NaN"),
        ("infinite", older(b"w", 1, &[f32::INFINITY]), "found inf"),
        ("negative", older(b"w", 1, &[-1.0]), "found -1"),
        ("GGUF, cut", b"GGUF\x03\0\0\0".to_vec(), "tensor count"),
        ("GGUF, no sums", GgufWriter::new().to_vec().expect("a file"), "found none"),
        ("GGUF, no counts", no_counts.to_vec().expect("a file"), "`w.counts` is missing"),
        ("GGUF, counts", gguf(&[1.0; 3], &[1.0; 2]).to_vec().expect("a file"), "3 sums, expected a multiple"),
        ("GGUF, more counts", gguf(&[1.0], &[1.0; 2]).to_vec().expect("a file"), "1 sums"),
        (
            "GGUF, big-endian",
            gguf(&[1.0], &[1.0]).byte_order(ByteOrder::Big).to_vec().expect("a file"),
            "found a big-endian one",
        ),
    ];
    let mut wrong = Vec::new();
    for (what, bytes, message) in cases {
        match Imatrix::parse(&bytes) {
            Err(e) if e.kind() == Kind::InvalidImatrix && e.to_string().contains(message) => {}
            other => wrong.push(format!("{what}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_are_named_in_errors() {
    let folder = Folder::new("imatrix");
    let path = folder.path("m.dat");
    std::fs::write(&path, older(b"w", 1, &[3.0])).expect("a file");
    assert_eq!(Imatrix::read(&path).expect("a matrix").get("w"), Some(&[3.0][..]));
    std::fs::write(&path, [0; 4]).expect("a file");
    for path in [path, folder.path("absent.dat"), folder.path("")] {
        let error = Imatrix::read(&path).expect_err("no matrix");
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        assert!(error.kind() == Kind::InvalidImatrix && error.to_string().contains(&name), "{error}");
    }
}

/// Any bytes give a matrix or an error, and need at most a small multiple of their size.
#[test]
fn mutated_bytes_never_panic() {
    let seeds =
        [older(b"blk.0.attn_q.weight", 3, &[1.0; 32]), gguf(&[1.0; 64], &[2.0; 2]).to_vec().expect("a file")];
    let mut state = 1u64;
    let mut random = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let mut parsed = 0;
    for seed in &seeds {
        for _ in 0..10_000 {
            let mut bytes = seed.clone();
            for _ in 0..=random(3) {
                let at = random(bytes.len());
                match random(3) {
                    0 => bytes[at] = random(256) as u8,
                    1 => bytes[at] ^= 1 << random(8),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            let (matrix, used) = measured(|| Imatrix::parse(&bytes));
            parsed += usize::from(matrix.is_ok());
            assert!(used.peak < 64 << 10, "{} bytes for {}: {bytes:?}", used.peak, bytes.len());
        }
    }
    assert!(parsed > 100, "{parsed}");
}
