//! What happens when a conversation outgrows the context: a choice with a name, never a silent cut.

use crate::EngineError;
use crate::chat::json;
use crate::reserve::{copied_json, reserve};
use serde_json::Value as Json;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// What a conversation does when its messages leave too little of the context for an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContextPolicy {
    /// `stop`: [`EngineError::PromptTooLong`], or an answer that ends with
    /// [`FinishReason::ContextFull`](crate::FinishReason::ContextFull). The app decides what goes.
    #[default]
    Stop,
    /// `drop-oldest`: when less than an eighth of the context is left for the answer, the oldest turns are left out of the prompt,
    /// about three eighths of the context at a time. System messages and the last question always stay, and turns are left out as a whole: a
    /// question with its answer, its calls and their results. The conversation itself keeps all messages, and
    /// [`Generation::dropped`](crate::Generation::dropped) tells how many the model did not see.
    DropOldest,
    /// `shift`: prompts as with `drop-oldest`; and an answer that fills the context goes on instead of ending. About half of the
    /// context, after its first 64 tokens, is dropped each time, and the keys of what follows are rotated to its new positions
    /// ("attention sinks", Xiao et al. 2023, arXiv 2309.17453). **The text is another one than with a larger context**, and than that of
    /// any prompt: what stays has seen what was dropped. Which tokens go has nothing to do with messages, so the question itself may be
    /// among them. It is for long texts whose beginning does not matter later. [`Finish::shifted_tokens`](crate::Finish::shifted_tokens)
    /// tells how many tokens were dropped. Models whose keys cannot be moved are refused with the reason
    /// ([`Context::check_shift`](crate::Context::check_shift)).
    ///
    /// The text is the same on every device, with any number of threads, and with speculation on and off. What was shifted is never reused
    /// for another prompt, and a session does not save it: the next turn computes its prompt again.
    Shift,
}

impl ContextPolicy {
    /// All policies.
    pub const ALL: [Self; 3] = [Self::Stop, Self::DropOldest, Self::Shift];

    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::DropOldest => "drop-oldest",
            Self::Shift => "shift",
        }
    }
}

impl fmt::Display for ContextPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The error for a name that is not a context policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown context policy `{found}`: expected stop, drop-oldest or shift")]
pub struct UnknownPolicy {
    /// What was given.
    pub found: String,
}

impl FromStr for ContextPolicy {
    type Err = UnknownPolicy;

    fn from_str(name: &str) -> Result<Self, UnknownPolicy> {
        let found = Self::ALL.into_iter().find(|policy| policy.name() == name);
        found.ok_or_else(|| UnknownPolicy { found: name.to_owned() })
    }
}

fn has_role(message: &Json, role: &str) -> bool {
    message.get("role").and_then(Json::as_str) == Some(role)
}

/// The messages that may be left out: those after the system messages at the beginning and before the last question.
pub(crate) fn droppable(messages: &[Json]) -> Range<usize> {
    let first = messages.iter().take_while(|message| has_role(message, "system")).count();
    let last = messages.iter().rposition(|message| has_role(message, "user")).unwrap_or(first);
    first..last.max(first)
}

/// Where the turn after the one that begins at `from` begins.
fn next_turn(messages: &[Json], from: usize) -> usize {
    let after = messages.iter().enumerate().skip(from + 1);
    after.into_iter().find(|(_, message)| has_role(message, "user")).map_or(messages.len(), |(at, _)| at)
}

impl ContextPolicy {
    /// The message before which turns are left out of a prompt, of `len` tokens when it is whole; `None`: nothing is left out.
    /// `measure` tells how many tokens a prompt has with such a cut.
    ///
    /// The cut stays where it is while the conversation grows by three eighths of the context. With another one in each turn nothing
    /// of the prompt would be in the cache.
    pub(crate) fn cut(
        self,
        messages: &[Json],
        len: usize,
        capacity: usize,
        mut measure: impl FnMut(usize) -> Result<usize, EngineError>,
    ) -> Result<Option<usize>, EngineError> {
        let (most, range) = (capacity - capacity / 8, droppable(messages));
        if self == Self::Stop || len <= most || range.is_empty() {
            return Ok(None);
        }
        let step = (most - capacity / 2).max(1);
        let target = (len - most).div_ceil(step).saturating_mul(step);
        let mut cuts = Vec::new();
        let mut at = range.start;
        while at < range.end {
            at = next_turn(messages, at).min(range.end);
            reserve(&mut cuts, 1, "turns of the conversation")?;
            cuts.push(at);
        }
        // The first that leaves out enough, or else all of them.
        let (mut low, mut high) = (0, cuts.len() - 1);
        while low < high {
            let middle = (low + high) / 2;
            if len.saturating_sub(measure(cuts[middle])?) >= target {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(cuts.get(low).copied())
    }
}

/// A copy of the messages without those that may be left out before `cut`.
pub(crate) fn without(messages: &[Json], cut: usize) -> Result<Vec<Json>, EngineError> {
    let out = droppable(messages).start..cut;
    let mut kept = Vec::new();
    for (_, message) in messages.iter().enumerate().filter(|(i, _)| !out.contains(i)) {
        reserve(&mut kept, 1, "a copy of the conversation")?;
        kept.push(copied_json(json::copy(message))?);
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn turns_are_whole_and_the_last_question_stays() {
        let roles = ["system", "user", "assistant", "tool", "assistant", "user", "assistant", "user"];
        let messages: Vec<Json> = roles.iter().map(|role| json!({"role": role})).collect();
        assert_eq!(droppable(&messages), 1..7);
        assert_eq!((next_turn(&messages, 1), next_turn(&messages, 5), next_turn(&messages, 7)), (5, 7, 8));
        assert_eq!(without(&messages, 5).unwrap().len(), 4);
        assert_eq!((droppable(&messages[..1]), droppable(&[])), (1..1, 0..0));
    }

    /// A token for each message, 80 of which fit: the cut moves every 30 messages, and the prompt always fits.
    #[test]
    fn cuts_fit_and_stay() {
        let mut messages = vec![json!({"role": "system"})];
        let (mut cuts, mut last) = (0, None);
        for turn in 0..300 {
            messages.push(json!({"role": "user"}));
            let len = messages.len();
            let measure = |cut: usize| Ok(without(&messages, cut)?.len());
            assert_eq!(ContextPolicy::Stop.cut(&messages, len, 80, measure).unwrap(), None);
            let cut = ContextPolicy::DropOldest.cut(&messages, len, 80, measure).unwrap();
            let kept = cut.map_or(len, |cut| without(&messages, cut).unwrap().len());
            assert!(kept <= 70 && (len <= 70) == cut.is_none(), "turn {turn}");
            cuts += usize::from(cut != last);
            last = cut;
            messages.push(json!({"role": "assistant"}));
        }
        assert_eq!(cuts, (601usize - 70).div_ceil(30));
        // One turn that is too long stays.
        assert_eq!(ContextPolicy::DropOldest.cut(&messages[..2], 100, 80, |_| Ok(0)).unwrap(), None);
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for policy in ContextPolicy::ALL {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        let error = "slide".parse::<ContextPolicy>().unwrap_err().to_string();
        assert!(
            error.contains("`slide`") && error.ends_with("expected stop, drop-oldest or shift"),
            "{error}"
        );
    }
}
