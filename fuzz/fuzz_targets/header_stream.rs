//! A header from a stream that gives a few bytes at a time against the whole file.
#![no_main]

use std::io::{self, Read};

use happy_gguf::{Gguf, GgufHeader, HeaderError, HeaderOptions};
use libfuzzer_sys::fuzz_target;

struct Trickle<'a> {
    bytes: &'a [u8],
    step: usize,
}

impl Read for Trickle<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.step.min(out.len());
        let n = self.bytes.read(&mut out[..n])?;
        self.step = self.step % 97 + 1;
        Ok(n)
    }
}

fuzz_target!(|bytes: &[u8]| {
    let [step, bytes @ ..] = bytes else { return };
    let source = || Trickle { bytes, step: usize::from(*step) + 1 };
    let options = HeaderOptions { file_len: Some(bytes.len() as u64), ..HeaderOptions::default() };
    match (Gguf::parse(bytes), GgufHeader::read_with(source(), &options)) {
        (Ok(whole), Ok(header)) => {
            assert!(whole.tensors().eq(header.view().tensors()));
            assert_eq!(format!("{:?}", whole.metadata()), format!("{:?}", header.view().metadata()));
            assert_eq!(header.bytes().len() as u64, whole.header_end());
        }
        (Err(a), Err(HeaderError::Parse(b))) => assert_eq!((a.kind(), a.offset()), (b.kind(), b.offset())),
        (a, b) => panic!("{:?} / {:?}", a.err(), b.err()),
    }
    // Of unknown length: no panic, and no more than the whole.
    if let Ok(header) = GgufHeader::read_with(source(), &HeaderOptions::default()) {
        assert!(header.view().header_end() <= bytes.len() as u64);
    }
});
