//! A token's logits depend only on its sequence, and not on chunks, threads, instruction sets or other sequences.

mod common;

use common::{Edit, Runner, batch, bits, plain, q4_0, small_llama, tokens};
use happy_kernels::{Isa, Kernels};
use happy_model::{Batch, KvType, Want};

const FORMATS: [(&str, Edit<'static>); 2] = [("F32", &plain), ("Q4_0", &q4_0)];

#[test]
fn chunks_threads_and_isas_give_the_same_bits() {
    let ids = tokens(150, 3);
    for (format, edit) in FORMATS {
        let file = small_llama(edit);
        for kind in [KvType::F32, KvType::F16] {
            let mut whole = Runner::new(&file, Kernels::scalar(), 1, kind, 4);
            let expected = bits(&whole.logits(&batch(&ids, 0, 0)).unwrap());
            for isa in Isa::ALL {
                let Ok(kernels) = Kernels::with_isa(isa) else {
                    println!("{isa}: skipped, this machine lacks it");
                    continue;
                };
                for (threads, chunk) in [(1, 1), (2, 7), (3, 64), (2, 65), (1, 150), (3, 150)] {
                    let mut runner = Runner::new(&file, kernels, threads, kind, 4);
                    let mut found = Vec::new();
                    for (i, part) in ids.chunks(chunk).enumerate() {
                        found.extend(runner.logits(&batch(part, (i * chunk) as u32, 0)).unwrap());
                    }
                    assert!(
                        bits(&found) == expected,
                        "{format} {kind:?} {isa} {threads} threads, chunks of {chunk}"
                    );
                }
            }
        }
    }
}

#[test]
fn sequences_in_one_batch_give_the_bits_they_have_alone() {
    for (format, edit) in FORMATS {
        let file = small_llama(edit);
        let prompts: Vec<Vec<u32>> = [70, 1, 64, 13].iter().map(|n| tokens(*n, *n as u64)).collect();
        let mut together = Runner::new(&file, Kernels::detect().unwrap(), 2, KvType::F16, 8);
        let mut all = Batch::with_capacity(200);
        for (s, prompt) in prompts.iter().enumerate() {
            for (i, t) in prompt.iter().enumerate() {
                all.push(*t, i as u32, s as u32, Want::Logits).unwrap();
            }
        }
        let found = together.logits(&all).unwrap();
        let mut expected = Vec::new();
        for prompt in &prompts {
            let mut alone = Runner::new(&file, Kernels::detect().unwrap(), 1, KvType::F16, 2);
            expected.extend(alone.logits(&batch(prompt, 0, 0)).unwrap());
        }
        assert!(bits(&found) == bits(&expected), "{format}");
        // one more token for each sequence, in another order
        let mut next = Batch::with_capacity(4);
        for s in [2usize, 0, 3, 1] {
            next.push(5, prompts[s].len() as u32, s as u32, Want::Logits).unwrap();
        }
        let found = together.logits(&next).unwrap();
        for (row, s) in found.iter().zip([2usize, 0, 3, 1]) {
            let mut ids = prompts[s].clone();
            ids.push(5);
            let mut alone = Runner::new(&file, Kernels::detect().unwrap(), 1, KvType::F16, 2);
            let expected = alone.logits(&batch(&ids, 0, 0)).unwrap();
            assert!(
                bits(std::slice::from_ref(row)) == bits(&expected[expected.len() - 1..]),
                "{format}, sequence {s}"
            );
        }
    }
}

#[test]
fn rows_that_want_nothing_change_nothing() {
    let file = small_llama(&q4_0);
    let ids = tokens(90, 8);
    let mut all = Runner::new(&file, Kernels::detect().unwrap(), 2, KvType::F32, 2);
    let expected = all.logits(&batch(&ids, 0, 0)).unwrap();
    let mut some = Runner::new(&file, Kernels::detect().unwrap(), 2, KvType::F32, 2);
    let mut b = Batch::with_capacity(90);
    for (i, t) in ids.iter().enumerate() {
        b.push(*t, i as u32, 0, if i % 20 == 9 { Want::Logits } else { Want::Nothing }).unwrap();
    }
    let found = some.logits(&b).unwrap();
    let expected: Vec<Vec<f32>> = expected.into_iter().skip(9).step_by(20).collect();
    assert_eq!(bits(&found), bits(&expected));
    // a batch that wants nothing at all still fills the cache
    let mut none = Runner::new(&file, Kernels::detect().unwrap(), 2, KvType::F32, 2);
    let mut quiet = Batch::with_capacity(90);
    quiet.push_tokens(&ids, 0, 0, Want::Nothing).unwrap();
    assert_eq!(none.logits(&quiet), Ok(vec![]));
    let (a, b) = (none.logits(&batch(&[7], 90, 0)).unwrap(), all.logits(&batch(&[7], 90, 0)).unwrap());
    assert_eq!(bits(&a), bits(&b));
}
