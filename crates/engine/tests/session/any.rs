//! Sessions with changed records: for a test with seeded changes, and for the fuzz target `session`.

use crate::support::{Example, boundaries, context, next_logits, reseal};
use happy_engine::session::{MemoryStorage, Saved, Session, Turn};
use happy_engine::{Context, EngineError};

/// An example and a context that tries its variants.
pub(crate) struct Any {
    example: Example,
    context: Context,
}

impl Any {
    pub(crate) fn new() -> Self {
        Self { example: Example::within_an_answer(), context: context() }
    }

    /// Bytes as they are, then the example with changes whose checksums are right: each takes four bytes, which choose a record, a
    /// byte of its header or payload, and a value. What is taken can be continued; what is refused changes nothing.
    pub(crate) fn run(&mut self, data: &[u8]) {
        let _ = Saved::read_from(&mut MemoryStorage(data.to_vec()));
        let mut bytes = self.example.bytes.clone();
        for change in data.as_chunks::<4>().0.iter().take(8) {
            let records = boundaries(&bytes);
            let record = records[change[0] as usize % (records.len() - 1)];
            let at = match change[1] {
                // What an interrupted or confused writer would leave: a record twice, or none.
                0xff => {
                    let end = records[change[0] as usize % (records.len() - 1) + 1];
                    let copy = bytes[record..end].to_vec();
                    bytes.splice(record..record, copy);
                    continue;
                }
                0xfe => {
                    let end = records[change[0] as usize % (records.len() - 1) + 1];
                    bytes.drain(record..end);
                    if bytes.len() <= 64 {
                        return;
                    }
                    continue;
                }
                // Lengths stay, so that there are records to change.
                header if header < 40 && !(8..16).contains(&header) => record + header as usize,
                more => (record + 64 + more as usize * 3 + change[2] as usize).min(bytes.len() - 1),
            };
            bytes[at] = change[3];
        }
        reseal(&mut bytes);
        self.context.truncate(0, 0).unwrap();
        self.context.prefill(0, &[1, 80, 81]).unwrap();
        match Session::open_in(MemoryStorage(bytes), &mut self.context, 0) {
            Ok((mut session, restored)) => {
                assert_eq!(
                    (session.tokens(), restored.tokens),
                    (self.context.tokens(0), session.tokens().len())
                );
                if self.context.tokens(0).len() < self.context.capacity() {
                    next_logits(&mut self.context);
                }
                session.append(&self.context, Turn::default()).unwrap();
                let saved = Saved::read_from(&mut session.into_storage()).unwrap();
                assert_eq!(saved.restored().turns, restored.turns + u64::from(restored.answer.is_none()));
            }
            Err(EngineError::Session(_)) => assert_eq!(self.context.tokens(0), [1, 80, 81]),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn changed_records_are_refused_or_continued() {
    let mut any = Any::new();
    let mut random = 1u64;
    for _ in 0..3_000 {
        let data: [u8; 12] = std::array::from_fn(|_| {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (random >> 40) as u8
        });
        let n = 4 + 4 * (random >> 60) as usize % 12;
        any.run(&data[..n.min(12)]);
    }
}
