//! Picking one token out of the candidates that are left.

mod adaptive_p;
mod dist;
mod mirostat;

pub use adaptive_p::AdaptiveP;
pub use dist::Dist;
pub use mirostat::{Mirostat, MirostatVersion};

use crate::{Candidate, Candidates, Rng, SavedState, TokenId};

/// Picks one token. Implement it for a custom draw; deriving `Clone` provides [`ClonePick`].
pub trait Pick: ClonePick + Send {
    /// Returns the token; `None` if no candidate has a finite logit. May cut and reorder the candidates.
    fn pick(&mut self, c: &mut Candidates) -> Option<TokenId>;
    /// Observes a token that was picked, or read from the prompt.
    fn accept(&mut self, _t: TokenId) {}
    /// Returns to the state after construction.
    fn reset(&mut self) {}
    /// Sets the seed and returns to the state after construction. Does nothing for picks without randomness.
    fn seed(&mut self, _seed: u64) {}
    /// Passes on the numbers of its state that the accepted tokens do not determine. None by default.
    fn state(&self, _add: &mut dyn FnMut(u64)) {}
    /// Takes over a state that [`state`](Self::state) passed on; `None` if it is not one.
    fn set_state(&mut self, _saved: &mut SavedState<'_>) -> Option<()> {
        Some(())
    }
}

/// Cloning of boxed picks; every `Pick + Clone` implements it.
pub trait ClonePick {
    /// A boxed clone.
    fn clone_pick(&self) -> Box<dyn Pick>;
}

impl<T: Pick + Clone + 'static> ClonePick for T {
    fn clone_pick(&self) -> Box<dyn Pick> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn Pick> {
    fn clone(&self) -> Self {
        (**self).clone_pick()
    }
}

/// Picks the highest logit, ties to the lower id.
#[derive(Debug, Clone, Copy, Default)]
pub struct Greedy;

impl Pick for Greedy {
    fn pick(&mut self, c: &mut Candidates) -> Option<TokenId> {
        c.best().filter(|(_, l)| l.is_finite()).map(|(id, _)| id)
    }
}

/// Draws one random number from `rng`, and returns the first candidate at which the running sum of `weight` exceeds
/// that share of the total. Candidates without weight are never picked.
fn draw<'a>(
    items: &'a [Candidate],
    rng: &mut Rng,
    weight: impl Fn(&Candidate) -> f64,
) -> Option<&'a Candidate> {
    let target = rng.next_f64() * items.iter().map(&weight).sum::<f64>();
    let (mut run, mut last) = (0.0, None);
    for item in items {
        let w = weight(item);
        if w > 0.0 {
            run += w;
            last = Some(item);
            if run > target {
                break;
            }
        }
    }
    // If rounding makes the running sum end below the target, the last candidate with a weight is picked.
    last
}
