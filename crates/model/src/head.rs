//! The operations after the last norm that turn texts into embeddings or ranks.
//!
//! ```text
//! pooled = none: each token's hidden state | their mean | that of the first (cls) or last token         one row per text
//! embedding = projection_n .. projection_1 pooled
//! rank = (softmax) (output norm(act(hidden pooled)))                                    pooled as the classifier wants it
//! ```

use happy_kernels::ops::Activation;

use crate::batch::Want;
use crate::spec::NormSpec;

/// How the hidden states of a text's tokens become one vector. The numbers are those of `pooling_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// No pooling: one vector per token (0).
    None,
    /// The mean of all tokens (1).
    Mean,
    /// The first token (2).
    Cls,
    /// The last token (3).
    Last,
    /// The result of the model's classifier: one score per label. Most models have one label (4).
    Rank,
}

impl Pooling {
    /// All kinds of pooling, in the order of their numbers.
    pub const ALL: [Pooling; 5] = [Pooling::None, Pooling::Mean, Pooling::Cls, Pooling::Last, Pooling::Rank];

    /// Returns the name, as options spell it.
    pub fn name(self) -> &'static str {
        match self {
            Pooling::None => "none",
            Pooling::Mean => "mean",
            Pooling::Cls => "cls",
            Pooling::Last => "last",
            Pooling::Rank => "rank",
        }
    }

    /// Returns what is wanted of token `index` of a text of `n` tokens.
    pub(crate) fn want(self, index: usize, n: usize) -> Want {
        let wanted = match self {
            Pooling::None | Pooling::Mean | Pooling::Rank => true,
            Pooling::Cls => index == 0,
            Pooling::Last => index + 1 == n,
        };
        if wanted { Want::Hidden } else { Want::Nothing }
    }
}

/// A matrix without a bias with which every embedding is multiplied, `{name}.weight`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProjectionSpec {
    /// The name of its tensor, without `.weight`.
    pub name: &'static str,
    /// The width of its result.
    pub n_out: usize,
}

/// A classifier of texts: `output(norm(act(hidden x)))`. Each part may be missing in the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassifierSpec {
    /// Its input: [`Pooling::Mean`], [`Pooling::Cls`] or [`Pooling::Last`].
    pub pooling: Pooling,
    /// The width of the result of the hidden matrix, `cls`; `None` without this matrix.
    pub n_hidden: Option<usize>,
    /// The activation after the hidden matrix.
    pub activation: Activation,
    /// The norm after the activation, `cls.norm`.
    pub norm: Option<NormSpec>,
    /// The number of labels of the last matrix, `cls.output`; `None` without this matrix.
    pub n_labels: Option<usize>,
    /// Whether scores are turned into probabilities, which add up to 1.
    pub softmax: bool,
}

/// How a model's hidden states become embeddings and ranks. By default, embeddings are hidden states, and there are no ranks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeadSpec {
    /// The pooling that the file specifies; `None` if it specifies none.
    pub pooling: Option<Pooling>,
    /// The matrices with which every embedding is multiplied, in this order.
    pub projections: Vec<ProjectionSpec>,
    /// The classifier for ranks.
    pub classifier: Option<ClassifierSpec>,
}

impl HeadSpec {
    /// Returns the width of this pooling's result, in a model of width `n_embd`.
    pub fn width(&self, pooling: Pooling, n_embd: usize) -> usize {
        match (pooling, &self.classifier) {
            (Pooling::Rank, Some(c)) => c.n_labels.or(c.n_hidden).unwrap_or(n_embd),
            _ => self.projections.last().map_or(n_embd, |p| p.n_out),
        }
    }

    /// Returns the width of the widest row that the head computes, or 0 if it has no matrices.
    pub(crate) fn widest(&self) -> usize {
        let classifier = self.classifier.iter().flat_map(|c| c.n_hidden.into_iter().chain(c.n_labels));
        self.projections.iter().map(|p| p.n_out).chain(classifier).max().unwrap_or(0)
    }
}
