//! Reads the head, for any architecture: pooling, projections and classifier, as the file's keys and tensors describe them.

use super::decoder::MAX_WIDTH;
use super::params::Params;
use crate::error::LoadError;
use crate::names;
use crate::reserve::reserved;
use crate::spec::*;

/// The projections after the pooling, in order.
const PROJECTIONS: [(&str, &str); 2] = [("dense_2", "dense_2_feat_out"), ("dense_3", "dense_3_feat_out")];
const POOLING: &str = "pooling_type";
const CLASSIFIER_POOLING: &str = "classifier.pooling_type";

/// Fills in what the architecture leaves to the file: the head, and whether the attention is causal.
pub(super) fn read(p: &Params<'_>, spec: &mut ModelSpec) -> Result<(), LoadError> {
    causal(p, spec)?;
    spec.whole_texts |= !spec.causal;
    spec.head.pooling = pooling(p, POOLING)?;
    let mut n_in = spec.n_embd;
    spec.head.projections = reserved(PROJECTIONS.len())?;
    for (name, key) in PROJECTIONS {
        let Some(n_out) = width(p, name, n_in)? else { continue };
        if p.opt_u32(key)?.is_some_and(|n| n != 0 && n as usize != n_out) {
            return Err(p.invalid(key, &format!("{n_out}, as tensor {name}.weight has it")));
        }
        spec.head.projections.push(ProjectionSpec { name, n_out });
        n_in = n_out;
    }
    let default = spec.head.classifier.take();
    spec.head.classifier = classifier(p, spec, default)?;
    Ok(())
}

/// Reads `attention.causal`, if the architecture leaves it open.
fn causal(p: &Params<'_>, spec: &mut ModelSpec) -> Result<(), LoadError> {
    const CAUSAL: &str = "attention.causal";
    match p.opt_bool(CAUSAL)? {
        Some(true) if !spec.causal => Err(p.unsupported(CAUSAL, Some("false"))),
        Some(false) if spec.causal => {
            if spec.attentions().any(|a| a.window.is_some()) || spec.layers.iter().any(one_way) {
                return Err(p.unsupported(CAUSAL, Some("true for layers with a window or a state")));
            }
            spec.causal = false;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Returns whether a layer has a state that can only go from the first position to the last. Every recurrent layer does, except for short
/// convolutions that can be centered.
fn one_way(layer: &LayerSpec) -> bool {
    layer.recurrent.is_some_and(|r| match r.kind {
        RecurrentKind::ShortConv(conv) => conv.kernel.is_multiple_of(2),
        _ => true,
    })
}

fn pooling(p: &Params<'_>, key: &str) -> Result<Option<Pooling>, LoadError> {
    let Some(number) = p.opt_u32(key)? else { return Ok(None) };
    match Pooling::ALL.get(number as usize) {
        Some(pooling) => Ok(Some(*pooling)),
        None => Err(p.unsupported(key, Some("0 (none), 1 (mean), 2 (cls), 3 (last) or 4 (rank)"))),
    }
}

fn has(p: &Params<'_>, name: &str) -> bool {
    p.gguf().tensor(name).is_some()
}

/// Returns the number of rows of the matrix `name`, which must have `n_in` columns, or `None` if the file doesn't have that matrix.
fn width(p: &Params<'_>, name: &str, n_in: usize) -> Result<Option<usize>, LoadError> {
    let tensor = format!("{name}.weight");
    let Some((_, info)) = p.gguf().tensor(&tensor) else { return Ok(None) };
    let [cols, rows, ..] = info.dims.padded();
    match usize::try_from(rows) {
        Ok(rows) if cols == n_in as u64 && (1..=MAX_WIDTH).contains(&rows) => Ok(Some(rows)),
        _ => {
            let expected = vec![n_in as u64, rows];
            Err(LoadError::TensorShape { tensor, expected, found: info.dims.to_vec() })
        }
    }
}

/// Returns the classifier, if the file has one of its matrices. `default` is what the architecture knows about it.
fn classifier(
    p: &Params<'_>,
    spec: &ModelSpec,
    default: Option<ClassifierSpec>,
) -> Result<Option<ClassifierSpec>, LoadError> {
    let asked = pooling(p, CLASSIFIER_POOLING)?;
    let n_hidden = width(p, names::CLS, spec.n_embd)?;
    let n_labels = width(p, names::CLS_OUTPUT, n_hidden.unwrap_or(spec.n_embd))?;
    if n_hidden.is_none() && n_labels.is_none() {
        if spec.head.pooling == Some(Pooling::Rank) {
            let (tensor, expected) = (format!("{}.weight", names::CLS_OUTPUT), vec![spec.n_embd as u64, 1]);
            return Err(LoadError::MissingTensor { tensor, expected });
        }
        return Ok(None);
    }
    let default = default.unwrap_or(ClassifierSpec {
        pooling: if spec.causal { Pooling::Last } else { Pooling::Cls },
        n_hidden: None,
        activation: Activation::Tanh,
        norm: None,
        n_labels: None,
        softmax: false,
    });
    let pooling = match asked {
        None => default.pooling,
        Some(pooling @ (Pooling::Mean | Pooling::Cls | Pooling::Last)) => pooling,
        Some(_) => return Err(p.unsupported(CLASSIFIER_POOLING, Some("1 (mean), 2 (cls) or 3 (last)"))),
    };
    let norm = default.norm.filter(|_| n_hidden.is_some() && has(p, "cls.norm.weight"));
    Ok(Some(ClassifierSpec { pooling, n_hidden, n_labels, norm, ..default }))
}
