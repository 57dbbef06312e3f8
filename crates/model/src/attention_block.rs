//! The attention half of a layer.
//!
//! ```text
//! normed = norm(x); q, k, v = Wq normed, Wk normed, Wv normed     one job
//! q, k: norm, rotation; q *= temperature                          by rows
//! k, v -> cache
//! last layer: only wanted rows go on
//! heads = attention(q, cache); attn_out = Wo heads; x += norm(attn_out) * residual_scale
//! ```

use happy_kernels::linear;
use happy_kernels::ops::{AttnSpec, RopePairing, attention};
use happy_kernels::{Mat, MatMut};

use crate::error::ForwardError;
use crate::forward::Pass;
use crate::kv::Pages;
use crate::rows;
use crate::scratch::Scratch;
use crate::spec::TemperatureSpec;
use crate::weights::{Attention, FfnIn, QkNorm, kinds};

impl Pass<'_> {
    /// Adds the attention of a layer to the residual stream; returns the number of rows that go on.
    pub(crate) fn attention_block(
        &self,
        s: &mut Scratch,
        pages: &mut Pages<'_>,
        layer: usize,
        last: bool,
    ) -> Result<usize, ForwardError> {
        let (cx, n, model) = (self.cx, self.n_rows, self.model);
        let (spec, a, w) =
            (model.spec(), &model.spec().layers[layer].attention, &model.weights().layers[layer]);
        let n_embd = spec.n_embd;
        let keeps = matches!(w.ffn_in, FfnIn::Attention);

        self.project(s, &w.attention, layer, keeps)?;
        self.rotate(s, &w.attention, layer);
        for (i, row) in s.attn_rows.iter().enumerate() {
            if cx.cancelled() {
                return Err(ForwardError::Cancelled);
            }
            let (k, v) = (s.k.mat(n, a.k_dim()).row(i), s.v.mat(n, a.v_dim()).row(i));
            pages.store(layer, row, k, v, cx.kernels.ops.to_f16);
        }

        let mut n = n;
        if last && s.outputs.len() < n {
            let wanted = || s.outputs.iter().map(|o| o.index);
            rows::keep_rows(&mut s.inner.0, a.q_dim(), wanted());
            rows::keep_rows(&mut s.x, n_embd, wanted());
            if keeps {
                rows::keep_rows(&mut s.attn_input, n_embd, wanted());
            }
            for (to, from) in wanted().enumerate() {
                s.attn_rows[to] = s.attn_rows[from];
            }
            n = s.outputs.len();
            s.attn_rows.truncate(n);
            if n == 0 {
                return Ok(0);
            }
        }

        let attn = AttnSpec {
            n_heads: a.n_heads,
            scale: a.scale,
            soft_cap: a.soft_cap,
            window: a.window,
            sinks: w.attention.sinks.as_deref(),
            causal: true,
        };
        let q = s.inner.q(n, a.q_dim());
        let out = s.io.heads_mut(n, a.out_dim());
        attention(&cx, q, &s.attn_rows, &pages.layer(layer), &attn, &mut s.attention, out);

        if !s.acts.set(cx, s.io.heads(n, a.out_dim()), kinds([&w.attention.out])) {
            return Err(ForwardError::NonFinite { layer });
        }
        linear::forward(cx, &s.acts, &mut [(&w.attention.out, s.inner.attn_out_mut(n, n_embd))], &s.panels);
        let result = match &w.attention.post_norm {
            Some(norm) => {
                rows::norm(cx, norm, s.inner.attn_out(n, n_embd), s.io.post_normed_mut(n, n_embd));
                s.io.post_normed(n, n_embd)
            }
            None => s.inner.attn_out(n, n_embd),
        };
        rows::add_residual(cx, s.x.mat_mut(n, n_embd), result, spec.residual_scale);
        Ok(n)
    }

    /// Q, K and V of every row.
    fn project(&self, s: &mut Scratch, w: &Attention, layer: usize, keeps: bool) -> Result<(), ForwardError> {
        let (cx, n, a) = (self.cx, self.n_rows, &self.model.spec().layers[layer].attention);
        let n_embd = self.model.spec().n_embd;
        let input: Mat<'_> = match &w.norm {
            Some(norm) => {
                rows::norm(cx, norm, s.x.mat(n, n_embd), s.io.normed_mut(n, n_embd));
                s.io.normed(n, n_embd)
            }
            None => s.x.mat(n, n_embd),
        };
        if keeps {
            rows::each_row(cx, s.attn_input.mat_mut(n, n_embd), &|i, row, _| {
                row.copy_from_slice(input.row(i))
            });
        }
        if !s.acts.set(cx, input, kinds([&w.q, &w.k, &w.v])) {
            return Err(ForwardError::NonFinite { layer });
        }
        let mut parts = [
            (&w.q, s.inner.q_mut(n, a.q_dim())),
            (&w.k, s.k.mat_mut(n, a.k_dim())),
            (&w.v, s.v.mat_mut(n, a.v_dim())),
        ];
        linear::forward(cx, &s.acts, &mut parts, &s.panels);
        Ok(())
    }

    /// Norms and rotates Q and K.
    fn rotate(&self, s: &mut Scratch, w: &Attention, layer: usize) {
        let (cx, n, model) = (self.cx, self.n_rows, self.model);
        let a = &model.spec().layers[layer].attention;
        let rope = a.rope.and_then(|index| {
            let pairing = model.spec().ropes.get(index)?.pairing;
            let before: usize = model.spec().ropes.iter().take(index).map(|r| r.n_rot).sum();
            let n_rot = model.spec().ropes.get(index)?.n_rot;
            let from = n * before;
            Some(Rotation { cos_sin: Mat::new(s.cos_sin.values().get(from..)?, n, n_rot), pairing })
        });
        let head_dim = a.head_dim_k;
        let turn = |mat: MatMut<'_>, norm: &Option<QkNorm>, temperature: Option<TemperatureSpec>| {
            let mut mat = mat;
            if let Some(norm) = norm {
                rows::qk_norm(cx, norm, mat.reborrow(), &s.row);
            }
            if rope.is_none() && temperature.is_none() {
                return;
            }
            rows::each_row(cx, mat, &|i, row, _| {
                if let Some(rope) = &rope {
                    (cx.kernels.ops.rope)(row, head_dim, rope.cos_sin.row(i), rope.pairing);
                }
                if let Some(t) = temperature {
                    (cx.kernels.ops.scale)(row, t.factor(self.batch.positions()[i]));
                }
            });
        };
        turn(s.inner.q_mut(n, a.q_dim()), &w.q_norm, a.temperature);
        turn(s.k.mat_mut(n, a.k_dim()), &w.k_norm, None);
    }
}

/// The rotation of a layer.
struct Rotation<'a> {
    cos_sin: Mat<'a>,
    pairing: RopePairing,
}
