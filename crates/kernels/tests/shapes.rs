//! Shapes that do not fit their elements panic in every constructor and kernel, also where their product overflows:
//! safe code can reach no memory but its own.

use std::panic::{AssertUnwindSafe, catch_unwind};

use happy_kernels::kernels::all_linear;
use happy_kernels::linear::{ActBuf, ActKind, ActKinds, Acts, Panel, Panels};
use happy_kernels::ops::{AttnPlan, AttnScratch};
use happy_kernels::{Columns, Mat, MatMut, Pool};

/// Numbers of rows and columns whose product, or something close to it, is a small number in 64 bits.
const WRAPPING: [(usize, usize); 7] = [
    (1 << 32, 1 << 32),
    (1 << 61, 8),
    (8, 1 << 61),
    (1 << 63, 2),
    (usize::MAX, 2),
    (usize::MAX, usize::MAX),
    ((1 << 62) + 1, 4),
];

fn panics(f: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(f)).is_err()
}

#[test]
fn matrices_of_more_elements_than_there_are() {
    let pool = Pool::new(1).unwrap();
    let mut failed = Vec::new();
    for (rows, cols) in WRAPPING.into_iter().chain([(3, 3), (1, 9), (9, 1)]) {
        let mut check = |what, ok: bool| {
            if !ok {
                failed.push(format!("{rows} x {cols}: {what} does not panic"));
            }
        };
        check(
            "Mat::new",
            panics(|| {
                let _ = Mat::new(&[0.0; 8], rows, cols);
            }),
        );
        check(
            "MatMut::new",
            panics(|| {
                let _ = MatMut::new(&mut [0.0; 8], rows, cols);
            }),
        );
        let of = || Columns::of(MatMut::new(&mut [0.0; 8], rows, cols)).row_mut(0)[0] = 1.0;
        check("Columns::of", panics(of));
        let columns = || {
            let mut data = [0.0; 8];
            pool.for_each_columns([(MatMut::new(&mut data, rows, cols), 8)], &|_, _, columns, _| {
                columns.row_mut(columns.rows() - 1)[0] = 1.0;
            });
        };
        check("for_each_columns", panics(columns));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// A matrix without rows may claim any number of columns; as one of several it shifted the pieces of the others.
#[test]
fn pieces_of_matrices_without_rows_are_not_counted() {
    let pool = Pool::new(1).unwrap();
    for cols in [usize::MAX, 1 << 63, 5] {
        let (mut a, mut b, mut none) = ([0.0f32; 8], [0.0f32; 8], [0.0f32; 0]);
        let parts = [
            (MatMut::new(&mut none, 0, cols), 1),
            (MatMut::new(&mut a, 1, 8), 8),
            (MatMut::new(&mut b, 2, 4), 1),
        ];
        pool.for_each_columns(parts, &|which, first, columns, _| {
            for row in 0..columns.rows() {
                columns.row_mut(row).iter_mut().for_each(|x| *x += (10 * which + first) as f32);
            }
        });
        assert_eq!((a, b), ([10.0; 8], [20.0, 21.0, 22.0, 23.0, 20.0, 21.0, 22.0, 23.0]), "{cols}");
    }
}

/// The product of rows and stride wrapped, and pieces claimed rows that they did not have.
#[test]
fn pieces_of_any_number_of_rows() {
    let pool = Pool::new(2).unwrap();
    for per_task in [0, 1, 3, 4, 1 << 61, 1 << 62, (1 << 61) + 1, usize::MAX] {
        let mut data = [0.0f32; 32];
        pool.for_each_rows(MatMut::new(&mut data, 4, 8), per_task, &|first, part, _| {
            let rows = part.rows();
            let mut columns = Columns::of(part);
            (0..rows).for_each(|row| columns.row_mut(row).fill((first + row) as f32));
        });
        assert!(data.iter().enumerate().all(|(i, x)| *x == (i / 8) as f32), "{per_task} rows a task");
    }
}

/// Activations whose fields claim more than there is, for every kernel that this machine can run.
#[test]
fn kernels_check_their_activations() {
    let mut failed = Vec::new();
    for kernel in all_linear().filter(|k| k.isa.supported()) {
        let (w, x, q, d, sums) = (vec![0; 4096], [0.0f32; 256], [0i8; 256], [0.0f32; 8], [0i16; 16]);
        let kind = ActKind::of(kernel.dtype);
        let scales = &d[..256 / kind.unit().max(32)];
        let good = match kind {
            ActKind::F32 => Acts { kind, rows: 1, k: 256, x: &x, q: &[], d: &[], sums: &[] },
            _ => Acts { kind, rows: 1, k: 256, x: &[], q: &q, d: scales, sums: &sums },
        };
        let gemv = |acts| panics(|| (kernel.gemv)(&w, acts, &mut [0.0; 1]));
        let gemm = |acts: Acts<'_>, rows| {
            panics(|| {
                let mut y = [0.0; 4];
                let mut panel = Panel::new((kernel.panel_bytes)(256), 0).unwrap();
                (kernel.gemm)(&w, acts, &mut Columns::of(MatMut::new(&mut y, rows, 1)), &mut panel);
            })
        };
        let few = |w: &[u8], acts: Acts<'_>, rows, cols| {
            kernel.few.is_none_or(|few| {
                panics(|| {
                    let mut y = [0.0; 64];
                    (few.multiply)(w, acts, &mut Columns::of(MatMut::new(&mut y, rows, cols)));
                })
            })
        };
        if kernel.few.is_some() && few(&w, good, 1, 1) {
            failed.push(format!("{}: right shapes panic for few tokens", kernel.gemv_name));
        }
        // More tokens than rows of outputs, and more weight rows than there are.
        let two = Acts { rows: 2, ..good };
        if !few(&w, two, 1, 1) || !few(&w[..8], good, 1, 64) {
            failed.push(format!("{}: wrong shapes for few tokens do not panic", kernel.gemv_name));
        }
        if gemv(good) || gemm(good, 1) {
            failed.push(format!("{}: right shapes panic", kernel.gemv_name));
        }
        let k = [1 << 62, (1 << 63) + 256, 1 << 40, 512];
        let wrong = k.map(|k| Acts { k, ..good }).into_iter().chain([Acts { rows: 4, ..good }]);
        for acts in wrong {
            let what = format!("{}: {} x {}", kernel.gemm_name, acts.rows, acts.k);
            if acts.rows == 1 && !gemv(acts) {
                failed.push(format!("{what}: the gemv does not panic"));
            }
            if !gemm(acts, 4) {
                failed.push(format!("{what}: the gemm does not panic"));
            }
            if !few(&w, acts, 4, 1) {
                failed.push(format!("{what}: the kernel for few tokens does not panic"));
            }
        }
        // 2^20 rows of 2^44 activations: a product of 2^64.
        let mut y = vec![0.0; 1 << 20];
        let acts = Acts { rows: 1 << 20, k: 1 << 44, q: &[], d: &[], sums: &[], x: &[], kind };
        let mut panel = Panel::default();
        let mut columns = Columns::of(MatMut::new(&mut y, 1 << 20, 1));
        if !panics(|| (kernel.gemm)(&w, acts, &mut columns, &mut panel)) {
            failed.push(format!("{}: 2^20 x 2^44 does not panic", kernel.gemm_name));
        }
        // More rows than there are weights.
        if !panics(|| (kernel.gemv)(&w[..8], good, &mut [0.0; 64])) {
            failed.push(format!("{}: 64 rows in 8 bytes do not panic", kernel.gemv_name));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Sizes that no machine has are errors, and plans of them do not wrap to small numbers.
#[test]
fn buffers_of_impossible_sizes() {
    let kinds = ActKind::ALL.into_iter().fold(ActKinds::default(), ActKinds::with);
    let mut failed = Vec::new();
    for (rows, k) in WRAPPING {
        if ActBuf::new(rows, kinds.up_to(k)).is_ok()
            || ActBuf::bytes(rows, kinds.up_to(k)) < isize::MAX as usize
        {
            failed.push(format!("activations of {rows} x {k}"));
        }
    }
    if Panel::new(usize::MAX - 8, 0).is_ok() || Panels::new(1, usize::MAX / 8, 0).is_ok() {
        failed.push("panels".to_owned());
    }
    if Panels::bytes(1 << 40, 1 << 40, 1) < isize::MAX as usize {
        failed.push("bytes of panels".to_owned());
    }
    let plan = AttnPlan::new(2, 1 << 40, 1 << 60).layer(1 << 40, 1, 1 << 40, 1 << 40);
    if AttnScratch::new(&plan).is_ok() || AttnScratch::bytes(&plan) < isize::MAX as usize {
        failed.push("scratch of attention".to_owned());
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
