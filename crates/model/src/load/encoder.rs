//! What encoders and embedding models have in addition to the layers of a decoder: token types, biases by distance, and the head.

use super::tensors::Tensors;
use crate::error::LoadError;
use crate::names::{self, block};
use crate::reserve::{collected, reserved};
use crate::spec::*;
use crate::weights::{Classifier, Head, PositionBias, RelativeBias};

/// All distances from this one on share a bucket in T5's relative biases.
const MAX_DISTANCE: u32 = 128;

/// Reads the first row of `token_types`, which may have any number of rows.
pub(super) fn token_type(t: &mut Tensors<'_>, spec: &ModelSpec) -> Result<Option<Vec<f32>>, LoadError> {
    let rows = t.rows_of(names::TOKEN_TYPES).max(1);
    let all = t.opt_vector(spec.token_types, names::TOKEN_TYPES, &[spec.n_embd, rows])?;
    Ok(all.map(|mut all| {
        all.truncate(spec.n_embd);
        all
    }))
}

/// Loads the matrices of the head.
#[inline(never)]
pub(super) fn head(t: &mut Tensors<'_>, spec: &ModelSpec) -> Result<Head, LoadError> {
    let mut matrix = |name: &str, n_in: usize, n_out: usize, bias: Need| {
        let tensor = t.tensor(&format!("{name}.weight"), &[n_in, n_out])?;
        let bias = t.opt_vector(bias, &format!("{name}.bias"), &[n_out])?;
        t.rows(&tensor, 0, n_out, n_in, bias.as_deref())
    };
    let mut projections = reserved(spec.head.projections.len())?;
    let mut n_in = spec.n_embd;
    for p in &spec.head.projections {
        projections.push(matrix(p.name, n_in, p.n_out, Need::Never)?);
        n_in = p.n_out;
    }
    let Some(c) = &spec.head.classifier else { return Ok(Head { projections, classifier: None }) };
    let hidden = c.n_hidden.map(|n| matrix(names::CLS, spec.n_embd, n, Need::Optional)).transpose()?;
    let n_in = c.n_hidden.unwrap_or(spec.n_embd);
    let output = c.n_labels.map(|n| matrix(names::CLS_OUTPUT, n_in, n, Need::Optional)).transpose()?;
    let norm = c.norm.map(|norm| t.norm(names::CLS_NORM, &norm, n_in)).transpose()?;
    Ok(Head { projections, classifier: Some(Classifier { hidden, norm, output }) })
}

/// Returns the tables of biases by distance, each with the layer that its tensor belongs to.
pub(super) fn relative_biases(
    t: &mut Tensors<'_>,
    spec: &ModelSpec,
) -> Result<Vec<(usize, RelativeBias)>, LoadError> {
    let mut all = reserved(relative_layers(spec).count())?;
    for (i, n_heads, n_buckets) in relative_layers(spec) {
        let need = if all.is_empty() { Need::Required } else { Need::Optional };
        let name = block(i, names::ATTN_REL_B, "weight");
        if let Some(buckets) = t.opt_vector(need, &name, &[n_heads, n_buckets])? {
            all.push((i, relative(&buckets, n_heads, n_buckets)?));
        }
    }
    Ok(all)
}

/// Returns the layers with such biases: index, number of heads, number of buckets.
fn relative_layers(spec: &ModelSpec) -> impl Iterator<Item = (usize, usize, usize)> {
    spec.layers.iter().enumerate().filter_map(|(i, layer)| match layer.attention?.position_bias? {
        PositionBiasSpec::Relative { n_buckets } => Some((i, layer.attention?.n_heads, n_buckets)),
        PositionBiasSpec::Alibi { .. } => None,
    })
}

/// Returns how many f32 values the biases by distance may need.
pub(crate) fn position_bias_values(spec: &ModelSpec) -> usize {
    let values = spec.attentions().map(|a| match a.position_bias {
        None => 0,
        Some(PositionBiasSpec::Alibi { .. }) => a.n_heads,
        Some(PositionBiasSpec::Relative { .. }) => a.n_heads.saturating_mul(WIDTH),
    });
    values.fold(0, usize::saturating_add)
}

/// The number of distances with a value of their own.
const WIDTH: usize = 2 * MAX_DISTANCE as usize + 1;

/// Turns `[bucket][head]` into values by distance, `[head][2 * most + 1]`.
fn relative(buckets: &[f32], n_heads: usize, n_buckets: usize) -> Result<RelativeBias, LoadError> {
    let most = MAX_DISTANCE as i32;
    let values = (0..n_heads).flat_map(|head| (-most..=most).map(move |distance| (head, distance)));
    let value = |(head, distance)| buckets[bucket(distance, n_buckets) * n_heads + head];
    let values = collected(n_heads.saturating_mul(WIDTH), values.map(value))?;
    Ok(RelativeBias { values, most: MAX_DISTANCE })
}

/// Returns the bucket of a key that is `distance` positions after the query. Half of the buckets are for later positions. In each half, one
/// half has a bucket for every single distance; the buckets of the other cover ranges that grow geometrically up to [`MAX_DISTANCE`].
fn bucket(distance: i32, n_buckets: usize) -> usize {
    let half = n_buckets / 2;
    let (exact, d) = (half / 2, distance.unsigned_abs() as usize);
    let first = if distance > 0 { half } else { 0 };
    if d < exact {
        return first + d;
    }
    let ratio = libm::log(d as f64 / exact as f64) / libm::log(f64::from(MAX_DISTANCE) / exact as f64);
    // because of rounding, the logarithm of a power of two may be just below a whole number
    let place = libm::floor(ratio * (half - exact) as f64 + 1e-9) as usize;
    first + (exact + place).min(half - 1)
}

/// Returns what is added to a layer's scores, by distance.
pub(super) fn position_bias(
    a: &AttentionSpec,
    layer: usize,
    relative: &[(usize, RelativeBias)],
) -> Result<Option<PositionBias>, LoadError> {
    Ok(match a.position_bias {
        None => None,
        Some(PositionBiasSpec::Alibi { max }) => {
            let slopes = (0..a.n_heads).map(|head| slope(head, a.n_heads, max));
            Some(PositionBias::Slopes(collected(a.n_heads, slopes)?))
        }
        // the layer's own table, or else that of the first layer
        Some(PositionBiasSpec::Relative { .. }) => {
            let own = relative.iter().position(|(i, _)| *i == layer);
            Some(PositionBias::Relative(own.unwrap_or(0)))
        }
    })
}

/// Returns the slope of a head. Heads beyond the largest power of two take every second slope of twice that number of heads.
fn slope(head: usize, n_heads: usize, max: f32) -> f32 {
    let power = 1usize << n_heads.max(1).ilog2();
    let exponent = match head.checked_sub(power) {
        None => (head + 1) as f64,
        Some(rest) => (2 * rest + 1) as f64 / 2.0,
    };
    libm::pow(2.0, -f64::from(max) * exponent / power as f64) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected values are those of `T5Attention._relative_position_bucket` in transformers, for 32 buckets.
    #[test]
    fn buckets_are_those_of_t5() {
        let cases = [
            (0, 0),
            (-1, 1),
            (-7, 7),
            (-8, 8),
            (-11, 8),
            (-12, 9),
            (-16, 10),
            (-32, 12),
            (-64, 14),
            (-128, 15),
        ];
        for (distance, expected) in cases {
            assert_eq!(bucket(distance, 32), expected, "{distance}");
            if distance != 0 {
                assert_eq!(bucket(-distance, 32), 16 + expected, "{}", -distance);
            }
        }
        assert_eq!((bucket(i32::MAX, 32), bucket(-127, 32)), (31, 15));
    }

    #[test]
    fn slopes_fall_by_a_constant_factor() {
        let slopes = |n| (0..n).map(|h| slope(h, n, 8.0)).collect::<Vec<_>>();
        assert_eq!(slopes(8), [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.00390625]);
        assert_eq!(slopes(6), [0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125]);
    }
}
