//! Draft heads, which a file has beside its model.

use super::{ModelSpec, NormSpec};

/// What makes a specification that of a draft head (multi-token prediction, MTP): one layer of the file, which computes the logits of the
/// token after the next one.
///
/// ```text
/// x       = eh_proj [enorm(embedding of the next token), hnorm(hidden state)]          the layer's input
/// logits  = Wout norm(layer(x))                                    norm: shared_head_norm, or else the model's last one
/// ```
///
/// The hidden state is that of the model after its last norm, at the position before the token. To guess further tokens, it is the
/// head's own. Embedding and output matrix are the head's (`embed_tokens`, `shared_head_head`), or else the model's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DraftHeadSpec {
    /// The number of the layer in the file: its tensors are `blk.{block}.*`.
    pub block: usize,
    /// The norms `nextn.enorm` and `nextn.hnorm`.
    pub norm: NormSpec,
}

impl ModelSpec {
    /// Returns the number in the file of the first layer. It is 0, except for a draft head.
    pub fn first_block(&self) -> usize {
        self.draft_head.map_or(0, |head| head.block)
    }
}
