//! Building a sampler from settings.

use crate::{MirostatVersion, Params, Sampler, SamplerBuilder, SamplerError, StepKind};

impl Params {
    /// Makes the sampler that these settings describe.
    ///
    /// # Errors
    /// The first setting outside its range, even if the order does not include its step; or infill or adaptive-p in the
    /// order without the vocabulary or the target.
    pub fn build(&self) -> Result<Sampler, SamplerError> {
        Sampler::builder().params(self).build()
    }

    /// Appends the steps to a builder.
    pub(crate) fn add_to(&self, mut b: SamplerBuilder) -> SamplerBuilder {
        // Every setting is checked, whether or not its step is in the order.
        for kind in StepKind::DEFAULT_ORDER {
            if let Err(e) = self.append(Sampler::builder(), *kind).build() {
                b = b.failed(e);
            }
        }
        b = b.seed(self.seed);
        if !self.logit_bias.is_empty() {
            b = b.logit_bias(self.logit_bias.iter().copied());
        }
        if self.mirostat.version != MirostatVersion::Off {
            return self.append(b, StepKind::Temperature).mirostat(self.mirostat.clone());
        }
        // A greedy chain can leave out the cuts that keep the best token.
        let edits =
            self.order.iter().take_while(|k| matches!(k, StepKind::Penalties | StepKind::Dry)).count();
        let (edits, others) = self.order.split_at_checked(edits).unwrap_or_default();
        let keeps_best = |kind| self.step(kind).is_ok_and(|step| step.is_some_and(|step| step.keeps_best()));
        let greedy = self.temperature.t == 0.0
            && self.temperature.delta == 0.0
            && others.contains(&StepKind::Temperature)
            && others.iter().copied().all(keeps_best);
        b = edits.iter().fold(b, |b, kind| self.append(b, *kind));
        if greedy {
            return b.greedy();
        }
        b = others.iter().fold(b, |b, kind| self.append(b, *kind));
        b.adaptive_p(self.adaptive_p.clone())
    }

    /// Appends one step unless it is neutral.
    fn append(&self, b: SamplerBuilder, kind: StepKind) -> SamplerBuilder {
        match self.step(kind) {
            Ok(Some(step)) if !step.is_neutral() => b.spec(&step),
            Ok(_) => b,
            Err(e) => b.failed(e),
        }
    }
}
