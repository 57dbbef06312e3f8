//! Text that waits to be delivered together, so that an app is not called for every token.
//!
//! ```text
//! more text of the kind that waits:   append; deliver when enough time has passed, or enough bytes are there
//! anything else:                      deliver what waits, then that
//! ```

use super::event::TurnEvent;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// When text is delivered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Coalesce {
    /// After so much time since the last delivery; zero: this is no reason.
    pub time: Duration,
    /// When there are so many bytes; 0: this is no reason.
    pub bytes: usize,
}

impl Coalesce {
    fn is_due(self, bytes: usize, waited: Duration) -> bool {
        let always = self.time.is_zero() && self.bytes == 0;
        always || (!self.time.is_zero() && waited >= self.time) || (self.bytes > 0 && bytes >= self.bytes)
    }
}

/// What text belongs to.
#[derive(Debug, PartialEq)]
enum Stream {
    Text,
    Reasoning,
    Arguments { call: usize, name: String },
}

impl Stream {
    /// The text of an event that can wait for more of its kind; other events are given back.
    fn split(event: TurnEvent) -> Result<(Stream, String), TurnEvent> {
        match event {
            TurnEvent::Text(text) => Ok((Stream::Text, text)),
            TurnEvent::Reasoning(text) => Ok((Stream::Reasoning, text)),
            TurnEvent::CallArguments { call, name, text } => Ok((Stream::Arguments { call, name }, text)),
            event => Err(event),
        }
    }

    fn event(self, text: String) -> TurnEvent {
        match self {
            Stream::Text => TurnEvent::Text(text),
            Stream::Reasoning => TurnEvent::Reasoning(text),
            Stream::Arguments { call, name } => TurnEvent::CallArguments { call, name, text },
        }
    }
}

/// Events on their way out.
#[derive(Debug)]
pub(super) struct Outbox {
    when: Coalesce,
    delivered: Instant,
    waiting: Option<(Stream, String)>,
    ready: VecDeque<TurnEvent>,
}

impl Outbox {
    pub(super) fn new(when: Coalesce) -> Self {
        Self { when, delivered: Instant::now(), waiting: None, ready: VecDeque::new() }
    }

    pub(super) fn push(&mut self, event: TurnEvent) {
        match (Stream::split(event), &mut self.waiting) {
            (Ok((stream, more)), Some((waiting, text))) if *waiting == stream => text.push_str(&more),
            (Ok(next), _) => {
                self.release();
                self.waiting = Some(next);
            }
            (Err(event), _) => {
                self.release();
                self.ready.push_back(event);
            }
        }
        if let Some((_, text)) = &self.waiting
            && self.when.is_due(text.len(), self.delivered.elapsed())
        {
            self.release();
        }
    }

    /// Delivers what waits.
    fn release(&mut self) {
        if let Some((stream, text)) = self.waiting.take() {
            self.ready.push_back(stream.event(text));
            self.delivered = Instant::now();
        }
    }

    pub(super) fn pop(&mut self) -> Option<TurnEvent> {
        self.ready.pop_front()
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        self.waiting = None;
        self.ready.clear();
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
            let (text, name) = ((*text).to_owned(), "f".to_owned());
            outbox.push(match kind {
                't' => TurnEvent::Text(text),
                'r' => TurnEvent::Reasoning(text),
                'a' => TurnEvent::CallArguments { call: 0, name, text },
                'b' => TurnEvent::CallArguments { call: 1, name, text },
                _ => TurnEvent::Prefill { done: 1, total: 2 },
            });
            let delivered: Vec<String> = std::iter::from_fn(|| outbox.pop())
                .map(|event| match Stream::split(event) {
                    Ok((Stream::Text, text)) => format!("t:{text}"),
                    Ok((Stream::Reasoning, text)) => format!("r:{text}"),
                    Ok((Stream::Arguments { call, .. }, text)) => format!("{call}:{text}"),
                    Err(_) => "p".into(),
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
