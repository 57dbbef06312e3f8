//! Text that waits to be delivered together, so that an app is not called for every token.
//!
//! ```text
//! more text of the kind that waits:   append; deliver when enough time has passed, or enough bytes are there
//! anything else:                      deliver what waits, then that
//! ```

use happy_engine::{Event, TextPiece};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// When text is delivered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Coalesce {
    /// Time since the last delivery after which text is delivered. Zero: time is not a reason.
    pub time: Duration,
    /// Number of bytes at which text is delivered. 0: size is not a reason.
    pub bytes: usize,
}

impl Coalesce {
    fn is_due(self, bytes: usize, waited: Duration) -> bool {
        let always = self.time.is_zero() && self.bytes == 0;
        always || (!self.time.is_zero() && waited >= self.time) || (self.bytes > 0 && bytes >= self.bytes)
    }
}

/// The text of an event that can wait for more of its kind.
fn text(event: &Event) -> Option<&TextPiece> {
    match event {
        Event::Text(text) | Event::Reasoning(text) | Event::CallArguments { text, .. } => Some(text),
        _ => None,
    }
}

/// Appends the text of the second event to the first. Returns false if they are of different kinds, or memory is refused.
fn join(event: &mut Event, next: &Event) -> bool {
    match (event, next) {
        (Event::Text(text), Event::Text(more)) | (Event::Reasoning(text), Event::Reasoning(more)) => {
            text.try_push_str(more).is_ok()
        }
        (Event::CallArguments { index, text, .. }, Event::CallArguments { index: next, text: more, .. })
            if index == next =>
        {
            text.try_push_str(more).is_ok()
        }
        _ => false,
    }
}

/// Events on their way out.
#[derive(Debug)]
pub(super) struct Outbox {
    when: Coalesce,
    delivered: Instant,
    waiting: Option<Event>,
    ready: VecDeque<Event>,
}

impl Outbox {
    pub(super) fn new(when: Coalesce) -> Self {
        Self { when, delivered: Instant::now(), waiting: None, ready: VecDeque::new() }
    }

    pub(super) fn push(&mut self, event: Event) {
        let joined = self.waiting.as_mut().is_some_and(|waiting| join(waiting, &event));
        if !joined {
            self.release();
            self.waiting = Some(event);
        }
        let is_due = |event: &Event| {
            text(event).is_none_or(|text| self.when.is_due(text.len(), self.delivered.elapsed()))
        };
        if self.waiting.as_ref().is_some_and(is_due) {
            self.release();
        }
    }

    /// Delivers the event that waits, if there is one.
    fn release(&mut self) {
        if let Some(event) = self.waiting.take() {
            if text(&event).is_some() {
                self.delivered = Instant::now();
            }
            self.ready.push_back(event);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is delivered after each of the events, as kind and text.
    fn run(when: Coalesce, events: &[(char, &str)]) -> Vec<String> {
        let mut outbox = Outbox::new(when);
        let mut out = Vec::new();
        for (kind, text) in events {
            let (text, name) = (TextPiece::from((*text).to_owned()), "f".into());
            outbox.push(match kind {
                't' => Event::Text(text),
                'r' => Event::Reasoning(text),
                'a' => Event::CallArguments { index: 0, name, text },
                'b' => Event::CallArguments { index: 1, name, text },
                _ => Event::Prefill { done: 1, total: 2 },
            });
            let delivered: Vec<String> = std::iter::from_fn(|| outbox.pop())
                .map(|event| match event {
                    Event::Text(text) => format!("t:{text}"),
                    Event::Reasoning(text) => format!("r:{text}"),
                    Event::CallArguments { index, text, .. } => format!("{index}:{text}"),
                    _ => "p".into(),
                })
                .collect();
            out.push(delivered.join(" "));
        }
        out
    }

    #[test]
    fn text_waits_for_its_kind_only() {
        let (now, four) = (Coalesce::default(), Coalesce { bytes: 4, ..Coalesce::default() });
        let later = Coalesce { time: Duration::from_secs(3600), bytes: 0 };
        let either = Coalesce { bytes: 2, ..later };
        let elapsed = Coalesce { time: Duration::from_nanos(1), bytes: 1000 };
        let cases: &[(Coalesce, &[(char, &str)], &[&str])] = &[
            (now, &[('t', "a"), ('t', "b"), ('p', "")], &["t:a", "t:b", "p"]),
            (four, &[('t', "a"), ('t', "bcd"), ('t', "e"), ('p', "")], &["", "t:abcd", "", "t:e p"]),
            (four, &[('r', "a"), ('t', "b"), ('r', "c"), ('p', "")], &["", "r:a", "t:b", "r:c p"]),
            (four, &[('a', "{"), ('a', "x"), ('b', "y"), ('p', "")], &["", "", "0:{x", "1:y p"]),
            (later, &[('t', "a"), ('t', "bcdefgh"), ('p', ""), ('p', "")], &["", "", "t:abcdefgh p", "p"]),
            (either, &[('t', "a"), ('t', "b"), ('t', "c")], &["", "t:ab", ""]),
            (elapsed, &[('t', "a"), ('t', "b")], &["t:a", "t:b"]),
        ];
        for (when, events, expected) in cases {
            assert_eq!(run(*when, events), *expected, "{when:?} {events:?}");
        }
    }
}
