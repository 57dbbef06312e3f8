//! The scans of recurrent layers: every instruction set of this machine bit for bit against scalar code, many rows at once
//! against one row at a time, and scalar code against f64.

mod common;

use common::{Rng, accelerated, bits, required_is_there};
use happy_kernels::ops::Ops;
use happy_kernels::ops::scan::{Conv, Delta, LinearAttention, Mamba, State, Wkv6, Wkv7};
use happy_kernels::{Columns, Kernels, Mat, MatMut};

/// Rows, keys (or states, or the kernel of a convolution), channels: around registers and their multiples.
const SHAPES: [(usize, usize, usize); 12] = [
    (1, 1, 1),
    (1, 4, 16),
    (2, 3, 15),
    (3, 2, 17),
    (5, 4, 64),
    (4, 7, 79),
    (3, 16, 128),
    (2, 16, 65),
    (6, 5, 80),
    (7, 3, 33),
    (5, 6, 32),
    (4, 5, 127),
];

/// What a scan reads, by name, and the numbers of its columns.
struct Inputs {
    rows: usize,
    keys: usize,
    channels: usize,
    by_key: Vec<Vec<f32>>,
    by_channel: Vec<Vec<f32>>,
    single: Vec<Vec<f32>>,
    /// `[keys][channels]`, negative.
    table: Vec<f32>,
    state: Vec<f32>,
}

impl Inputs {
    fn new(rng: &mut Rng, (rows, keys, channels): (usize, usize, usize)) -> Self {
        let mut list = |n: usize| (0..n).map(|_| rng.normal()).collect::<Vec<f32>>();
        Inputs {
            rows,
            keys,
            channels,
            by_key: (0..6).map(|_| list(rows * keys)).collect(),
            by_channel: (0..2).map(|_| list(rows * channels)).collect(),
            single: (0..2).map(|_| list(rows)).collect(),
            table: list(keys * channels).iter().map(|x| -x.abs()).collect(),
            state: list(keys * channels),
        }
    }

    fn key(&self, i: usize) -> Mat<'_> {
        Mat::new(&self.by_key[i], self.rows, self.keys)
    }

    fn channel(&self, i: usize) -> Mat<'_> {
        Mat::new(&self.by_channel[i], self.rows, self.channels)
    }

    fn one(&self, i: usize) -> Mat<'_> {
        Mat::new(&self.single[i], self.rows, 1)
    }
}

const NAMES: [&str; 9] =
    ["conv", "conv silu", "mamba", "linear", "linear keys", "delta", "delta keys", "wkv6", "wkv7"];

/// The state in place; for ranges that start at an even row, another one, over which the scan writes.
fn before<'a>(old: &'a [f32], state: &'a mut [f32], range: &core::ops::Range<usize>) -> State<'a> {
    if !range.start.is_multiple_of(2) {
        return State::in_place(state);
    }
    state.fill(f32::NAN);
    State { before: Some(old), after: state }
}

/// Runs scan `which` over rows `range`; the results go to `y` and the state goes on.
fn run(
    ops: &Ops,
    which: usize,
    x: &Inputs,
    state: &mut [f32],
    range: core::ops::Range<usize>,
    y: &mut [f32],
) {
    let (keys, channels, n) = (x.keys, x.channels, range.len());
    let key = |i| x.key(i).rows_range(range.clone());
    let channel = |i| x.channel(i).rows_range(range.clone());
    let one = |i| x.one(i).rows_range(range.clone());
    let mut y = Columns::of(MatMut::new(y, n, channels));
    let old = state.to_vec();
    match which {
        0 | 1 => {
            for (i, row) in range.clone().enumerate() {
                y.row_mut(i).copy_from_slice(x.channel(0).row(row));
            }
            let mut state = Columns::of(MatMut::new(state, keys - 1, channels));
            let bias = (which == 1).then_some(&x.by_channel[1][..channels]);
            let conv = Conv { weight: Mat::new(&x.table, keys, channels), bias, silu: which == 1 };
            (ops.conv)(&conv, &mut state, &mut y);
        }
        2 => {
            let mut state = Columns::of(MatMut::new(state, keys, channels));
            let (a, b, c) = (Mat::new(&x.table, keys, channels), key(0), key(1));
            let d = &x.table[..channels];
            (ops.mamba)(&Mamba { x: channel(0), dt: channel(1), a, b, c, d }, &mut state, &mut y);
        }
        3 => {
            let (q, k, v, decay) = (key(0), key(1), channel(0), one(0));
            (ops.linear_attention)(
                &LinearAttention { q, k, v, decay, scale: 0.5 },
                before(&old, state, &range),
                &mut y,
            );
        }
        4 => {
            let (q, k, v, decay) = (key(0), key(1), channel(0), key(2));
            (ops.linear_attention)(
                &LinearAttention { q, k, v, decay, scale: 0.5 },
                before(&old, state, &range),
                &mut y,
            );
        }
        5 | 6 => {
            let (q, k, v, beta) = (key(0), key(1), channel(0), one(1));
            let decay = if which == 5 { one(0) } else { key(2) };
            (ops.delta)(&Delta { q, k, v, decay, beta, scale: 0.5 }, before(&old, state, &range), &mut y);
        }
        7 => {
            let (r, k, v, decay, bonus) = (key(0), key(1), channel(0), key(2), &x.by_key[3][..keys]);
            (ops.wkv6)(&Wkv6 { r, k, v, decay, bonus }, before(&old, state, &range), &mut y);
        }
        _ => {
            let (r, k, v, decay, a, b) = (key(0), key(1), channel(0), key(2), key(3), key(4));
            (ops.wkv7)(&Wkv7 { r, k, v, decay, a, b }, before(&old, state, &range), &mut y);
        }
    }
}

/// Results and state after all rows.
fn all(ops: &Ops, which: usize, x: &Inputs) -> (Vec<f32>, Vec<f32>) {
    let (mut state, mut y) = (x.state.clone(), vec![0.0; x.rows * x.channels]);
    run(ops, which, x, &mut state, 0..x.rows, &mut y);
    (y, state)
}

#[test]
fn every_isa_gives_the_bits_of_scalar() {
    required_is_there();
    let (scalar, mut rng, mut failed) = (Kernels::scalar(), Rng::new(1), Vec::new());
    let kernels = accelerated();
    for shape in SHAPES {
        let x = Inputs::new(&mut rng, shape);
        for (which, name) in NAMES.iter().enumerate() {
            let (y, state) = all(&scalar.ops, which, &x);
            for kernels in &kernels {
                let (found, found_state) = all(&kernels.ops, which, &x);
                if bits(&y) != bits(&found) || bits(&state) != bits(&found_state) {
                    failed.push(format!("{name} of {shape:?} on {}", kernels.isa));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn rows_at_once_and_one_by_one_have_the_same_bits() {
    let (kernels, mut rng, mut failed) = (Kernels::detect().unwrap(), Rng::new(2), Vec::new());
    for shape in SHAPES {
        let x = Inputs::new(&mut rng, shape);
        for (which, name) in NAMES.iter().enumerate() {
            let (y, state) = all(&kernels.ops, which, &x);
            let mut own = x.state.clone();
            for row in 0..x.rows {
                let mut one = vec![0.0; x.channels];
                run(&kernels.ops, which, &x, &mut own, row..row + 1, &mut one);
                if bits(&one) != bits(&y[row * x.channels..(row + 1) * x.channels]) {
                    failed.push(format!("{name} of {shape:?}, row {row}"));
                }
            }
            if bits(&own) != bits(&state) {
                failed.push(format!("{name} of {shape:?}, state"));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// The same in f64, element by element.
fn truth(which: usize, x: &Inputs) -> (Vec<f64>, Vec<f64>) {
    let (keys, channels) = (x.keys, x.channels);
    let f = f64::from;
    let mut state: Vec<f64> = x.state.iter().map(|x| f(*x)).collect();
    let mut y = vec![0.0; x.rows * channels];
    for row in 0..x.rows {
        let key = |i: usize, k: usize| f(x.by_key[i][row * keys + k]);
        let channel = |i: usize, c: usize| f(x.by_channel[i][row * channels + c]);
        for c in 0..channels {
            let at = |k: usize| k * channels + c;
            let old: Vec<f64> = (0..keys).map(|k| state[at(k)]).collect();
            let decay = |k: usize| if which == 3 || which == 5 { f(x.single[0][row]) } else { key(2, k) };
            let out = &mut y[row * channels + c];
            match which {
                0 | 1 => {
                    let input = |j: usize| if j + 1 < keys { old[j] } else { channel(0, c) };
                    let bias = if which == 1 { f(x.by_channel[1][c]) } else { 0.0 };
                    let sum = (0..keys).map(|j| input(j) * f(x.table[at(j)])).sum::<f64>() + bias;
                    *out = if which == 1 { sum / (1.0 + libm::exp(-sum)) } else { sum };
                    for j in 0..keys - 1 {
                        state[at(j)] = input(j + 1);
                    }
                }
                2 => {
                    for k in 0..keys {
                        let dt = channel(1, c);
                        state[at(k)] =
                            old[k] * libm::exp(dt * f(x.table[at(k)])) + channel(0, c) * dt * key(0, k);
                        *out += state[at(k)] * key(1, k);
                    }
                    *out += channel(0, c) * f(x.table[c]);
                }
                3 | 4 => {
                    for k in 0..keys {
                        state[at(k)] = old[k] * decay(k) + key(1, k) * channel(0, c);
                        *out += state[at(k)] * key(0, k) * 0.5;
                    }
                }
                5 | 6 => {
                    let found: f64 = (0..keys).map(|k| old[k] * decay(k) * key(1, k)).sum();
                    let change = (channel(0, c) - found) * f(x.single[1][row]);
                    for k in 0..keys {
                        state[at(k)] = old[k] * decay(k) + key(1, k) * change;
                        *out += state[at(k)] * key(0, k) * 0.5;
                    }
                }
                7 => {
                    for k in 0..keys {
                        let kv = key(1, k) * channel(0, c);
                        *out += (old[k] + f(x.by_key[3][k]) * kv) * key(0, k);
                        state[at(k)] = old[k] * decay(k) + kv;
                    }
                }
                _ => {
                    let found: f64 = (0..keys).map(|k| old[k] * key(3, k)).sum();
                    for k in 0..keys {
                        state[at(k)] = old[k] * decay(k) + key(1, k) * channel(0, c) + found * key(4, k);
                        *out += state[at(k)] * key(0, k);
                    }
                }
            }
        }
    }
    (y, state)
}

#[test]
fn scans_are_close_to_the_truth() {
    let (ops, mut rng, mut failed) = (Kernels::scalar().ops, Rng::new(3), Vec::new());
    for shape in SHAPES {
        let x = Inputs::new(&mut rng, shape);
        for (which, name) in NAMES.iter().enumerate() {
            let (y, state) = all(&ops, which, &x);
            let (true_y, true_state) = truth(which, &x);
            // the last row of a convolution's state is not used
            let kept = if which < 2 { (x.keys - 1) * x.channels } else { state.len() };
            let size = |list: &[f64]| list.iter().fold(1.0, |m: f64, x| m.max(x.abs()));
            let close = |found: &[f32], truth: &[f64]| {
                let bound = 1e-5 * size(truth);
                found.iter().zip(truth).all(|(a, b)| (f64::from(*a) - b).abs() <= bound)
            };
            if !close(&y, &true_y) || !close(&state[..kept], &true_state[..kept]) {
                failed.push(format!("{name} of {shape:?}"));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
