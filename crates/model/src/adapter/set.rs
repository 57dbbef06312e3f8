//! [`AdapterSet`]: adapters with scales, which the rows of a batch use.

use std::sync::Arc;

use happy_kernels::linear::{Additions, Sets};
use happy_kernels::ops::Ops;

use super::{Adapter, AdapterError, EmbeddingProduct};
use crate::batch::Batch;
use crate::reserve::reserved;

/// Adapters with scales, in the order in which their products are added. A set never changes. Two sets are equal if they have the same
/// adapters with the same scales in the same order.
///
/// ```no_run
/// # use happy_model::{AdapterSet, AdapterError, Batch, Model, Want};
/// # use std::sync::Arc;
/// # fn f(model: &Model, style: Arc<happy_model::Adapter>, facts: Arc<happy_model::Adapter>) -> Result<(), Box<dyn std::error::Error>> {
/// let set = Arc::new(AdapterSet::new(&[(style, 1.0), (facts, 0.5)])?);
/// let mut batch = Batch::with_capacity(2);
/// batch.use_adapters(Some(&set))?; // for the tokens that are added from here on
/// batch.push(17, 0, 0, Want::Logits)?;
/// batch.use_adapters(None)?;
/// batch.push(17, 0, 1, Want::Logits)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct AdapterSet {
    model: u64,
    adapters: Vec<(Arc<Adapter>, f32)>,
    additions: Additions,
    rank: usize,
}

impl AdapterSet {
    /// Makes a set of adapters with scales. An adapter was trained for a scale of 1. Adapters with scale 0 are left out. At most one
    /// may have invocation tokens.
    ///
    /// # Errors
    /// If a scale is not finite, the adapters belong to different models, several have invocation tokens, or memory cannot be reserved.
    pub fn new(list: &[(Arc<Adapter>, f32)]) -> Result<Self, AdapterError> {
        let mut adapters = reserved(list.len())?;
        let n_products: usize = list.iter().map(|(adapter, _)| adapter.products.len()).sum();
        let mut additions = reserved(n_products)?;
        let model = list.first().map_or(0, |(adapter, _)| adapter.model);
        let (mut invoked, mut rank) = (false, 0);
        for (index, (adapter, scale)) in list.iter().enumerate() {
            if !scale.is_finite() {
                return Err(AdapterError::Scale { index, scale: scale.to_string() });
            }
            if adapter.model != model {
                return Err(AdapterError::OtherModel { index });
            }
            if *scale == 0.0 {
                continue;
            }
            if !adapter.invocation.is_empty() && std::mem::replace(&mut invoked, true) {
                return Err(AdapterError::SecondInvoked { index });
            }
            for (matrix, product) in &adapter.products {
                let factor = adapter.factor(*scale, product.rank());
                if factor != 0.0 {
                    additions.push((*matrix, (product.clone(), factor)));
                }
            }
            rank = rank.max(adapter.embedding.as_ref().map_or(0, |e| e.b.n_in()));
            adapters.push((adapter.clone(), *scale));
        }
        let additions = Additions::new(additions);
        let rank = rank.max(additions.rank());
        Ok(AdapterSet { model, adapters, additions, rank })
    }

    /// Returns the adapters with their scales. No scale is 0.
    pub fn adapters(&self) -> &[(Arc<Adapter>, f32)] {
        &self.adapters
    }

    /// Returns whether the set has no adapters.
    pub fn is_empty(&self) -> bool {
        self.adapters.is_empty()
    }

    /// Returns the greatest sum of ranks that are added to one matrix. [`RunOptions::adapter_rank`](crate::RunOptions::adapter_rank)
    /// must be at least this.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Returns the set without adapters that wait for invocation tokens, for the positions before these tokens.
    ///
    /// # Errors
    /// If memory cannot be reserved.
    pub fn before_invocation(&self) -> Result<Self, AdapterError> {
        let mut always = reserved(self.adapters.len())?;
        always.extend(self.adapters.iter().filter(|(a, _)| a.invocation.is_empty()).cloned());
        Self::new(&always)
    }

    /// Returns the tokens that one of its adapters waits for. Empty if no adapter does.
    pub fn invocation_tokens(&self) -> &[u32] {
        let waiting = self.adapters.iter().map(|(adapter, _)| adapter.invocation_tokens());
        waiting.into_iter().find(|tokens| !tokens.is_empty()).unwrap_or(&[])
    }

    pub(crate) fn model(&self) -> u64 {
        self.model
    }

    /// Adds to the embedding `y` of a token: `y = fma(B A[token], s, y)`. `spare` has room for the greatest rank.
    pub(crate) fn embed(&self, ops: &Ops, token: u32, spare: &mut [f32], y: &mut [f32]) {
        for (adapter, scale) in &self.adapters {
            let Some(EmbeddingProduct { a, b }) = adapter.embedding.as_deref() else { continue };
            let Some(h) = spare.get_mut(..b.n_in()) else { continue };
            if a.row(token, h).is_err() {
                h.fill(f32::NAN);
            }
            b.add_scaled(ops, 0, h, adapter.factor(*scale, b.n_in()), y);
        }
    }
}

impl PartialEq for AdapterSet {
    fn eq(&self, other: &Self) -> bool {
        let pairs = self.adapters.iter().zip(&other.adapters);
        self.adapters.len() == other.adapters.len()
            && pairs.into_iter().all(|((a, s), (b, t))| a.id == b.id && s.to_bits() == t.to_bits())
    }
}

impl Sets for Batch {
    fn get(&self, set: u32) -> Option<&Additions> {
        self.set(set).map(|set| &set.additions)
    }

    fn len(&self) -> u32 {
        self.n_sets()
    }
}
