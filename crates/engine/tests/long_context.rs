//! What a real model with windows keeps after a long context.

use happy_engine::{Engine, LoadOptions};
use happy_testkit::model;

const MIB: usize = 1 << 20;

/// Gemma 3 270M: 3 layers see everything, 15 see 512 positions; a position takes 1 KiB a layer. With pages for all layers
/// it was 72 MiB.
#[test]
fn gemma_3_keeps_27_mib_after_4096_tokens() {
    let Some(path) = model("gemma-3-270m-q4_k_m.gguf") else { return };
    let options = LoadOptions { context: Some(4224), snapshot_bytes: 0, ..LoadOptions::default() };
    let engine = Engine::open(&path, &options).unwrap();
    let mut context = engine.context().unwrap();
    let n_vocab = engine.model().n_vocab() as u32;
    let tokens: Vec<u32> = (0..4096).map(|i| (i * 7919 + i / 64) % n_vocab).collect();
    context.prefill(0, &tokens).unwrap();
    let (used, planned) = (context.kv_resident_bytes(), engine.plan().kv_bytes as usize);
    println!("after 4,096 tokens: {:.1} MiB in use", used as f64 / MIB as f64);
    println!("planned for a context of 4,224: {:.1} MiB", planned as f64 / MIB as f64);
    assert!(used <= 27 * MIB && planned <= 27 * MIB, "{used} bytes in use, {planned} planned");
    // a rollback is exact, and what goes on has the bits of the same tokens computed again
    let step = |context: &mut happy_engine::Context| -> Vec<u32> {
        context.step(0, 5).unwrap().iter().map(|x| x.to_bits()).collect()
    };
    let expected = step(&mut context);
    assert_eq!(context.truncate(0, 4096 - 32).unwrap(), 4096 - 32);
    context.prefill(0, &tokens[4096 - 32..]).unwrap();
    assert!(step(&mut context) == expected);
}
