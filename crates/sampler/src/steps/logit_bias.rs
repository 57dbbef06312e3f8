//! Logit bias.

use super::{Checked, Step, StepParams, boxed};
use crate::error::check;
use crate::parameters::parameters;
use crate::reserve::collected;
use crate::{Candidates, SamplerError, TokenId};

parameters! {
    /// Adds a number to the logits of single tokens.
    pub struct LogitBias {
        /// What is added to the logits of these tokens: finite, or -inf, which bans a token. A token named twice gets the sum;
        /// tokens outside the vocabulary have no effect.
        pub bias: Vec<(TokenId, f32)> = Vec::new(),
    }
}

impl StepParams for LogitBias {
    fn is_neutral(&self) -> bool {
        self.bias.is_empty()
    }

    fn build(&self) -> Result<Box<dyn Step>, SamplerError> {
        let mut bias = collected(self.bias.iter().copied())?;
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
        boxed(Checked(LogitBias { bias }))
    }
}

// The bias is ascending by token, and each token occurs once.
impl Step for Checked<LogitBias> {
    fn apply(&mut self, c: &mut Candidates) {
        c.edit(&self.0.bias, |logit, bias| logit + bias);
    }
}
