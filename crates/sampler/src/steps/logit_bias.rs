//! Logit bias.

use super::Step;
use crate::error::check;
use crate::{Candidates, SamplerError, TokenId};

/// Adds a number to the logits of single tokens; -inf bans a token.
#[derive(Debug, Clone)]
pub struct LogitBias {
    // Ascending by token, each once.
    bias: Vec<(TokenId, f32)>,
}

impl LogitBias {
    /// A token named twice gets the sum. Tokens outside the vocabulary have no effect.
    ///
    /// # Errors
    /// A bias must be finite or -inf.
    pub fn new(bias: impl IntoIterator<Item = (TokenId, f32)>) -> Result<Self, SamplerError> {
        let mut bias: Vec<(TokenId, f32)> = bias.into_iter().collect();
        for (_, b) in &bias {
            check(*b < f32::INFINITY, "logit_bias", "bias", "finite or -inf", *b)?;
        }
        bias.sort_by_key(|b| b.0);
        bias.dedup_by(|b, a| {
            let same = a.0 == b.0;
            if same {
                a.1 += b.1;
            }
            same
        });
        for (_, b) in &bias {
            check(*b < f32::INFINITY, "logit_bias", "sum of biases of a token", "finite or -inf", *b)?;
        }
        Ok(LogitBias { bias })
    }
}

impl Step for LogitBias {
    fn apply(&mut self, c: &mut Candidates) {
        c.edit(&self.bias, |logit, bias| logit + bias);
    }
}
