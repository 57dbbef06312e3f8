//! Loading and running take little stack, because the threads of an app may only have 64 KiB.

mod common;

use common::{Runner, batch, many_experts, plain, q4_0, small_llama};
use happy_gguf::GgufFile;
use happy_kernels::{Isa, Kernels};
use happy_model::KvType;

/// Measured on x86-64 only; other compilers lay out frames in their own way.
const STACK: usize = if cfg!(target_arch = "x86_64") { 64 << 10 } else { 128 << 10 };

fn on_a_small_stack(f: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(STACK).spawn(f).unwrap().join().unwrap();
}

#[test]
fn load_and_forward() {
    for isa in Isa::ALL {
        on_a_small_stack(move || {
            // Choosing kernels also compares them with scalar code.
            let Ok(kernels) = Kernels::with_isa(isa) else {
                println!("isa: {isa} skipped");
                return;
            };
            let files: [GgufFile; 3] = [small_llama(&plain), small_llama(&q4_0), many_experts(200, 64)];
            for file in &files {
                let mut r = Runner::new(file, kernels, 2, KvType::F16, 4);
                for n in [1, 3, 30] {
                    r.kv.clear(0).unwrap();
                    assert_eq!(r.logits(&batch(&vec![1; n], 0, 0)).unwrap().len(), n);
                }
            }
        });
    }
}

/// Loads a file with the largest number of layers that one may have.
#[test]
fn a_thousand_layers() {
    on_a_small_stack(|| {
        let mut r = Runner::new(&many_experts(1024, 1), Kernels::detect().unwrap(), 1, KvType::F16, 1);
        assert_eq!(r.logits(&batch(&[1, 2], 0, 0)).unwrap().len(), 2);
    });
}
