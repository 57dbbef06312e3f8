//! Attention of one row and of a chunk of rows after contexts of several lengths, over keys and values in f16 and q8_0, in cached
//! elements per second.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use happy_kernels::ops::{
    AttnPlan, AttnRow, AttnScratch, AttnSpec, KV_PAGE, KvBlock, KvData, KvLayer, attention,
};
use happy_kernels::{Ctx, Kernels, Mat, MatMut, Pool};

const N_HEADS: usize = 9;
const N_KV_HEADS: usize = 3;
const HEAD_DIM: usize = 64;
const PAGE: usize = 2 * N_KV_HEADS * KV_PAGE * HEAD_DIM;

fn bench(c: &mut Criterion) {
    let kernels = Kernels::detect().expect("no switch names an unknown instruction set");
    let pool = Pool::new(1).expect("the calling thread");
    let cx = Ctx::new(&pool, &kernels);
    let spec =
        AttnSpec { n_heads: N_HEADS, scale: 0.125, soft_cap: None, window: None, bias: None, sinks: None };
    let mut group = c.benchmark_group("attention");
    for (rows, past) in [(1usize, 64usize), (1, 512), (1, 4096), (256, 0), (256, 4096)] {
        let context = past + rows;
        let n_pages = context.div_ceil(KV_PAGE);
        // 1.0 in f16, with some of the low bits changing.
        let data: Vec<u16> = (0..n_pages * PAGE).map(|i| 0x3C00 | (i * 7919 % 512) as u16).collect();
        let block = |i: usize| KvBlock {
            d: 0x2C00,
            q: std::array::from_fn(|c| ((i * 31 + c) * 7919 % 255) as u8 as i8),
        };
        let blocks: Vec<KvBlock> = (0..data.len() / KvBlock::CHANNELS).map(block).collect();
        let tables = [(0..n_pages as u32).collect()];
        let layer = |data| KvLayer {
            data,
            tables: &tables,
            page_stride: PAGE,
            k_offset: 0,
            v_offset: PAGE / 2,
            n_kv_heads: N_KV_HEADS,
            head_dim_k: HEAD_DIM,
            head_dim_v: HEAD_DIM,
        };
        let plan = AttnPlan::new(1, rows, context).layer(N_HEADS, N_KV_HEADS, HEAD_DIM, HEAD_DIM);
        let mut scratch = AttnScratch::new(&plan).expect("memory");
        let positions: Vec<AttnRow> = (past..context).map(|p| AttnRow::causal(p as u32, 0)).collect();
        let width = N_HEADS * HEAD_DIM;
        let (q, mut out) = (vec![0.01; rows * width], vec![0.0; rows * width]);
        group.throughput(Throughput::Elements((context * PAGE / KV_PAGE) as u64));
        for (kind, data) in [("", KvData::F16(&data)), ("_q8_0", KvData::Q8_0(&blocks))] {
            let layer = layer(data);
            group.bench_function(BenchmarkId::new(format!("{rows}_rows{kind}"), past), |b| {
                b.iter(|| {
                    let out = MatMut::new(&mut out, rows, width);
                    attention(&cx, Mat::new(&q, rows, width), &positions, &layer, &spec, &mut scratch, out);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
