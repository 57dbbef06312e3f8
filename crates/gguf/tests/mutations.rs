//! A deterministic fuzz pass: files of the corpus with a few bytes changed, cut, doubled or swapped are given to
//! everything that reads.
//!
//! Set `HAPPY_MUTATIONS=n` to run more than the default. `fuzz/` checks the same properties with coverage.

mod support;

use happy_gguf::{
    Gguf, GgufEdit, GgufHeader, GgufSet, GgufWriter, HeaderError, HeaderOptions, Limits, SplitBy,
};
use happy_testkit::{Meter, measured};

#[global_allocator]
static METER: Meter = Meter;

const MAX_ALLOCATED: u64 = 4 << 20;

/// splitmix64
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

fn mutate(file: &mut Vec<u8>, random: &mut Random) {
    /// Numbers that have broken readers.
    const ODD: [u64; 10] = [0, 1, 7, 13, 255, 1 << 31, (1 << 32) - 1, 1 << 61, 1 << 63, u64::MAX];
    for _ in 0..=random.below(3) {
        // Mostly in the header, where mutations matter most.
        let end = if random.below(4) > 0 { file.len().min(400) } else { file.len() };
        let at = random.below(end);
        match random.below(7) {
            0 => file.truncate(at),
            1 => file.get_mut(at..at + 1).unwrap_or_default().fill(random.next() as u8),
            2 | 3 => {
                let odd = ODD[random.below(ODD.len())].to_le_bytes();
                let n = [4, 8][random.below(2)];
                if let Some(field) = file.get_mut(at..at + n) {
                    field.copy_from_slice(&odd[..n]);
                }
            }
            4 => {
                let field = file.get_mut(at..at + [2, 4, 8][random.below(3)]);
                field.unwrap_or_default().reverse();
            }
            5 => {
                let (from, n) = (random.below(end), random.below(64));
                let piece = file.get(from..(from + n).min(file.len())).unwrap_or_default().to_vec();
                let at = at.min(file.len());
                file.splice(at..at, piece);
            }
            _ => {
                let to = (at + random.below(16)).min(file.len());
                file.drain(at.min(to)..to);
            }
        }
    }
}

/// The properties that hold for any bytes.
fn check(bytes: &[u8]) -> bool {
    let (whole, allocated) = measured(|| Gguf::parse(bytes));
    assert!(allocated.peak < MAX_ALLOCATED, "{allocated:?}");
    let options = HeaderOptions { file_len: Some(bytes.len() as u64), ..HeaderOptions::default() };
    let (header, allocated) = measured(|| GgufHeader::read_with(bytes, &options));
    assert!(allocated.peak < MAX_ALLOCATED + 3 * bytes.len() as u64, "{allocated:?}");
    let lenient = Gguf::parse_lenient(bytes, &Limits::default());
    let gguf = match (whole, header) {
        (Err(a), Err(HeaderError::Parse(b))) => {
            assert_eq!((a.kind(), a.offset()), (b.kind(), b.offset()));
            return lenient.map(|gguf| gguf.warnings()).is_ok();
        }
        (Ok(gguf), Ok(header)) => {
            assert!(header.view().tensors().eq(gguf.tensors()));
            gguf
        }
        (whole, header) => panic!("whole {:?}, header {:?}", whole.err(), header.err()),
    };
    let lenient = lenient.expect("what normal reading accepts, lenient reading accepts");
    assert_eq!(lenient.warnings(), gguf.warnings());

    // Unchanged edits reproduce the file. What the strict check accepts is written as it was, except for bytes after
    // the data.
    let (edited, allocated) = measured(|| GgufEdit::new(&gguf).to_vec().expect("an edit"));
    assert!(edited == bytes);
    assert!(allocated.peak < MAX_ALLOCATED + 6 * bytes.len() as u64, "{allocated:?}");
    let writer = GgufWriter::from_gguf(&gguf);
    let written = writer.to_vec().expect("what was read can be written");
    let again = Gguf::parse(&written).expect("what was written can be read");
    assert_eq!(format!("{:?}", again.metadata()), format!("{:?}", gguf.metadata()));
    for (a, b) in gguf.tensors().zip(again.tensors()) {
        assert_eq!((a.name, a.ty, a.dims), (b.name, b.ty, b.dims));
        // A type of unknown size includes the padding.
        assert!(a.ty.layout().is_none() || gguf.data(&a) == again.data(&b));
    }
    if gguf.check_strict().is_ok() && gguf.tensors().len() > 0 {
        let header_end = gguf.header_end() as usize;
        assert!(written[..header_end] == bytes[..header_end]);
    }

    if gguf.tensors().len() > 0 && !gguf.metadata().iter().any(|(key, _)| key.starts_with("split.")) {
        let parts = GgufWriter::split(&GgufSet::from(again), SplitBy::Tensors(1)).expect("parts");
        let parts: Vec<_> = parts.iter().map(|part| part.to_vec().expect("a part")).collect();
        let parsed = parts.iter().map(|part| ("part", Gguf::parse(part).expect("a part")));
        let set = GgufSet::new(parsed).expect("a set");
        assert_eq!(set.tensors().count(), gguf.tensors().len());
    }
    true
}

#[test]
fn mutated_files_of_the_corpus() {
    let corpus = support::corpus();
    let n = std::env::var("HAPPY_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let mut seeds: Vec<Vec<u8>> = support::files(&corpus).into_iter().map(|(_, bytes)| bytes).collect();
    seeds.extend(support::cases(&corpus).into_iter().map(|(_, bytes)| bytes));
    // The same files in other dialects.
    let others: Vec<Vec<u8>> = seeds
        .iter()
        .filter_map(|seed| {
            let gguf = Gguf::parse(seed).ok()?;
            let order = happy_gguf::ByteOrder::Big;
            let version = 1 + 2 * u32::from(seed.len() % 2 == 0);
            GgufWriter::from_gguf(&gguf).version(version).byte_order(order).to_vec().ok()
        })
        .collect();
    seeds.extend(others);
    let mut random = Random(1);
    let mut taken = 0;
    for i in 0..n {
        let mut file = seeds[random.below(seeds.len())].clone();
        let before = random.0;
        mutate(&mut file, &mut random);
        let result = std::panic::catch_unwind(|| check(&file));
        match result {
            Ok(ok) => taken += usize::from(ok),
            Err(_) => panic!("mutation {i} (state {before:#x}): {}", file.escape_ascii()),
        }
    }
    println!("{n} files, {taken} taken");
    assert!(taken > n / 50, "{taken} of {n}");
}
