//! What follows the last norm when texts become embeddings or ranks.
//!
//! ```text
//! pooled = none: each token's hidden state | mean of them | that of the first (cls) or last token       a row for each text
//! embedding = projection_n .. projection_1 pooled
//! rank = (softmax) (output norm(act(hidden pooled)))                                    pooled as the classifier wants it
//! ```

use happy_kernels::ops::Activation;

use crate::batch::Want;
use crate::spec::NormSpec;

/// How the hidden states of a text's tokens become one vector; the numbers are those of `pooling_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// They don't: a vector for each token (0).
    None,
    /// Their mean (1).
    Mean,
    /// The first token's (2).
    Cls,
    /// The last token's (3).
    Last,
    /// What the model's classifier makes of them: a score for each label, mostly one (4).
    Rank,
}

impl Pooling {
    /// All of them, in the order of their numbers.
    pub const ALL: [Pooling; 5] = [Pooling::None, Pooling::Mean, Pooling::Cls, Pooling::Last, Pooling::Rank];

    /// Its name, as options spell it.
    pub fn name(self) -> &'static str {
        match self {
            Pooling::None => "none",
            Pooling::Mean => "mean",
            Pooling::Cls => "cls",
            Pooling::Last => "last",
            Pooling::Rank => "rank",
        }
    }

    /// What token `index` of a text of `n` has to give.
    pub(crate) fn want(self, index: usize, n: usize) -> Want {
        let wanted = match self {
            Pooling::None | Pooling::Mean | Pooling::Rank => true,
            Pooling::Cls => index == 0,
            Pooling::Last => index + 1 == n,
        };
        if wanted { Want::Hidden } else { Want::Nothing }
    }
}

/// A matrix without a bias that every embedding is multiplied with, `{name}.weight`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProjectionSpec {
    /// The name of its tensor, without `.weight`.
    pub name: &'static str,
    /// Width of its result.
    pub n_out: usize,
}

/// A classifier of texts: `output(norm(act(hidden x)))`, with the parts that the file has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassifierSpec {
    /// What it reads: [`Pooling::Mean`], [`Pooling::Cls`] or [`Pooling::Last`].
    pub pooling: Pooling,
    /// Width of the hidden matrix's result, `cls`; `None`: there is no such matrix.
    pub n_hidden: Option<usize>,
    /// Follows the hidden matrix.
    pub activation: Activation,
    /// Follows the activation, `cls.norm`.
    pub norm: Option<NormSpec>,
    /// Labels that the last matrix, `cls.output`, tells apart; `None`: there is no such matrix.
    pub n_labels: Option<usize>,
    /// Whether scores are probabilities that add up to 1.
    pub softmax: bool,
}

/// What makes embeddings and ranks of a model's hidden states. The default has nothing: embeddings are hidden states.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeadSpec {
    /// What the file says embeddings are; `None`: it says nothing.
    pub pooling: Option<Pooling>,
    /// What every embedding is multiplied with, in this order.
    pub projections: Vec<ProjectionSpec>,
    /// What makes ranks.
    pub classifier: Option<ClassifierSpec>,
}

impl HeadSpec {
    /// The width of what this pooling gives, in a model of this width.
    pub fn width(&self, pooling: Pooling, n_embd: usize) -> usize {
        match (pooling, &self.classifier) {
            (Pooling::Rank, Some(c)) => c.n_labels.or(c.n_hidden).unwrap_or(n_embd),
            _ => self.projections.last().map_or(n_embd, |p| p.n_out),
        }
    }

    /// The widest row that the head computes; 0 if it has no matrices.
    pub(crate) fn widest(&self) -> usize {
        let classifier = self.classifier.iter().flat_map(|c| c.n_hidden.into_iter().chain(c.n_labels));
        self.projections.iter().map(|p| p.n_out).chain(classifier).max().unwrap_or(0)
    }
}
