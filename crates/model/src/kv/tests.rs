//! Runs random operations on a cache, and on a list of tokens for each sequence. Passes are only simulated: keys, values and states are
//! numbers that depend on the tokens, and each row checks those of every position that it sees.

use happy_gguf::{GgmlType, GgufFile, GgufWriter, Limits};
use happy_kernels::Kernels;
use happy_kernels::ops::attention::KvData;
use happy_kernels::ops::{AttnRow, KV_PAGE};

use super::states::StateRun;
use super::*;
use crate::batch::Want;
use crate::spec::{RecurrentKind, RecurrentSpec, ShortConvSpec};

const N_CTX: usize = 640;
const N_BATCH: usize = 48;
const N_SEQUENCES: u32 = 3;

/// Returns a model with two layers that see everything, three layers with windows, of which one reads the keys and values of another, and
/// two states.
fn spec(windows: [u32; 2], recurrent: bool) -> ModelSpec {
    let file = GgufWriter::new()
        .kv("general.architecture", "llama")
        .kv("llama.context_length", 512u32)
        .kv("llama.embedding_length", 8u32)
        .kv("llama.block_count", 6u32)
        .kv("llama.feed_forward_length", 8u32)
        .kv("llama.attention.head_count", 2u32)
        .kv("llama.attention.layer_norm_rms_epsilon", 1e-5f32)
        .tensor("token_embd.weight", GgmlType::F32, &[8, 16], vec![0; 4 * 8 * 16]);
    let file =
        GgufFile::from_shared(std::sync::Arc::new(file.to_vec().unwrap()), &Limits::default()).unwrap();
    let mut spec = crate::arch::read_spec(&file.view().into(), &[]).unwrap();
    let window = |spec: &mut ModelSpec, layer: usize, window: u32, from: Option<usize>| {
        if let Some(a) = &mut spec.layers[layer].attention {
            (a.window, a.kv_from) = (Some(window), from);
        }
    };
    window(&mut spec, 1, windows[0], None);
    window(&mut spec, 2, windows[0], Some(1));
    window(&mut spec, 4, windows[1], None);
    if recurrent {
        let kind = RecurrentKind::ShortConv(ShortConvSpec { n_channels: 3, kernel: 3 });
        let mixer = RecurrentSpec { norm: None, norm_name: "attn_norm", kind, post_norm: None };
        spec.layers[3].attention = None;
        spec.layers[3].recurrent = Some(mixer);
        spec.layers[5].recurrent = Some(mixer);
    }
    spec
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % n.max(1)
    }
}

/// Returns a layer's value after each of these tokens. The values are small enough to be exact.
fn values(tokens: &[u32], layer: usize) -> Vec<f32> {
    let next = |h: &mut u64, token: &u32| {
        *h = (*h * 31 + u64::from(*token)) % 65_521;
        Some(*h as f32)
    };
    tokens.iter().scan(layer as u64 + 1, next).collect()
}

/// A cache, and the tokens that each of its sequences should hold.
struct Played {
    spec: ModelSpec,
    cache: KvCache,
    tokens: [Vec<u32>; N_SEQUENCES as usize],
    random: Random,
}

impl Played {
    /// Appends random tokens. A pass that fails changes nothing.
    fn pass(&mut self) {
        let speculative = self.random.below(4) == 0;
        let (mut left, mut batch) = (if speculative { 8 } else { N_BATCH }, Batch::with_capacity(N_BATCH));
        let mut after = self.tokens.clone();
        let first = self.random.below(3) as u32;
        for sequence in [first, (first + 1) % N_SEQUENCES] {
            let n = 1 + self.random.below(left);
            if n > left || self.tokens[sequence as usize].len() + n > N_CTX {
                continue;
            }
            left -= n;
            for _ in 0..n {
                let token = self.random.below(100) as u32;
                let tokens = &mut after[sequence as usize];
                batch.push(token, tokens.len() as u32, sequence, Want::Nothing).unwrap();
                tokens.push(token);
            }
        }
        if batch.is_empty() {
            return;
        }
        batch.set_speculative(speculative);
        self.cache.prepare(&batch).expect("what was planned for fits");
        for layer in 0..self.spec.layers.len() {
            self.play(layer, &batch, &after);
        }
        if self.random.below(4) == 0 {
            self.cache.roll_back(&batch);
        } else {
            self.cache.commit(&batch);
            self.tokens = after;
        }
    }

    /// Stores what a layer would compute, and checks what each row reads.
    fn play(&mut self, layer: usize, batch: &Batch, after: &[Vec<u32>]) {
        let mut pages = self.cache.pages();
        let spec = &self.spec.layers[layer];
        let rows = |i: usize| AttnRow::causal(batch.positions()[i], batch.sequences()[i]);
        let rows: Vec<AttnRow> = (0..batch.len()).map(rows).collect();
        let of = |layer: usize| [0, 1, 2].map(|sequence| values(&after[sequence], layer));
        let states = of(layer);
        for run in 0..if spec.recurrent.is_some() { pages.n_state_runs() } else { 0 } {
            let StateRun { rows: run, before, after: state } = pages.state_run(layer, run).unwrap();
            match before {
                Some(before) => state.copy_from_slice(before),
                None => state.fill(0.0),
            }
            for AttnRow { position, sequence, .. } in &rows[run] {
                let (all, position) = (&states[*sequence as usize], *position as usize);
                let before = if position == 0 { 0.0 } else { all[position - 1] };
                assert!(state.iter().all(|x| *x == before), "layer {layer} before position {position}");
                state.fill(all[position]);
            }
        }
        let Some(a) = spec.attention else { return };
        let stored = of(a.kv_from.unwrap_or(layer));
        for row in rows.iter().filter(|_| a.kv_from.is_none()) {
            let x = stored[row.sequence as usize][row.position as usize];
            let (mut k, mut v) = (vec![x; a.k_dim()], vec![-x; a.stored_v_dim()]);
            pages.store(layer, row, &mut k, &mut v, &Kernels::scalar().ops);
        }
        let kv = pages.layer(layer);
        let KvData::F32(data) = kv.data else { panic!("elements of another type") };
        for AttnRow { position: at, sequence, .. } in rows {
            let end = at as usize + 1;
            let first = end.saturating_sub(a.window.map_or(end, |w| w as usize));
            for (position, expected) in stored[sequence as usize].iter().enumerate().take(end).skip(first) {
                let page = kv.tables[sequence as usize][position / KV_PAGE] as usize * kv.page_stride;
                let row = (kv.n_kv_heads - 1) * KV_PAGE + position % KV_PAGE;
                let k = data[page + kv.k_offset + row * kv.head_dim_k];
                let v = data[page + kv.v_offset + row * kv.head_dim_v];
                assert_eq!([k, v], [*expected, -expected], "layer {layer}, position {position} from {at}");
            }
        }
    }

    fn step(&mut self) {
        let [from, to] = [0; 2].map(|_| self.random.below(N_SEQUENCES as usize));
        let (a, b, len) = (from as u32, to as u32, self.tokens[from].len());
        match self.random.below(12) {
            0 => {
                self.cache.fork(a, b).unwrap();
                self.tokens[to] = self.tokens[from].clone();
            }
            1 | 2 => {
                let back = [3, 70, len + 1][self.random.below(3)];
                let wanted = len - self.random.below(back.min(len + 1));
                let left = self.cache.truncate(a, wanted).unwrap();
                assert!(left <= wanted && left == self.cache.len(a));
                self.tokens[from].truncate(left);
            }
            3 => {
                let taken = self.cache.snapshot(a).unwrap();
                // the sequence can go back to a snapshot, even right away
                assert!(!taken || self.cache.truncate(a, len) == Ok(len));
            }
            4 => {
                let (mut bytes, mut again) = (Vec::new(), Vec::new());
                self.cache.export(a, &mut bytes).unwrap();
                self.cache.import(b, &bytes).unwrap();
                self.cache.export(b, &mut again).unwrap();
                assert!(bytes == again);
                self.tokens[to] = self.tokens[from].clone();
            }
            _ => self.pass(),
        }
        for (sequence, tokens) in self.tokens.iter().enumerate() {
            assert_eq!(self.cache.len(sequence as u32), tokens.len());
        }
    }
}

#[test]
fn sequences_hold_what_their_tokens_say() {
    for (seed, windows, recurrent, snapshots) in [
        (1, [5, 100], true, 0),
        (2, [1, 64], true, 64 << 10),
        (3, [65, 200], false, 300 << 10),
        (4, [5, 9], true, 4 << 20),
    ] {
        let spec = spec(windows, recurrent);
        let options = KvOptions::new(KvType::F32, N_SEQUENCES as usize, N_CTX);
        let options = options.with_batch(N_BATCH).with_snapshots(snapshots).with_speculation(8);
        let cache = KvCache::new(&spec, options).unwrap();
        let mut played = Played { spec, cache, tokens: Default::default(), random: Random(seed) };
        for _ in 0..1500 {
            played.step();
        }
        for sequence in 0..N_SEQUENCES {
            played.cache.clear(sequence).unwrap();
        }
        assert_eq!(
            played.cache.resident_bytes(),
            0,
            "seed {seed}: pages and states end with their sequences"
        );
        assert_eq!(played.cache.free_pages(), played.cache.groups.iter().map(|g| g.pool.n()).sum::<usize>());
    }
}

#[test]
fn a_part_of_a_speculative_batch_stays_and_the_rest_goes() {
    let spec = spec([5, 100], true);
    let options = KvOptions::new(KvType::F32, 3, N_CTX).with_batch(N_BATCH).with_speculation(8);
    let rows = |first: u32, n: u32, speculative: bool| {
        let mut batch = Batch::with_capacity(9);
        batch.push_tokens(&vec![1; n as usize], first, 0, Want::Nothing).unwrap();
        batch.set_speculative(speculative);
        batch
    };
    let mut cache = KvCache::new(&spec, options).unwrap();
    let pass = |cache: &mut KvCache, batch: &Batch| {
        cache.prepare(batch).unwrap();
        cache.commit(batch);
    };
    pass(&mut cache, &rows(0, 9, false));
    assert_eq!(cache.prepare(&rows(9, 9, true)), Err(KvError::Speculative { found: 9, planned: 8 }));
    pass(&mut cache, &rows(9, 8, true));
    assert_eq!(cache.truncate(0, 12), Ok(12));
    // the states of the other rows are gone, and rows that were not speculative have none
    assert_eq!(cache.truncate(0, 10), Ok(0));
    pass(&mut cache, &rows(0, 8, true));
    pass(&mut cache, &rows(8, 8, true));
    assert_eq!((cache.truncate(0, 8), cache.truncate(0, 0)), (Ok(8), Ok(0)));
}
