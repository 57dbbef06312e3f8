//! A model that says what a test wants.

use crate::common::N_VOCAB;
use happy_engine::chat::Reply;
use happy_engine::{Context, Conversation, EngineError, Event, Finish, GenerateOptions};
use happy_sampler::{Candidates, Sampler, Step};

/// Leaves only the next token of a script.
#[derive(Clone)]
struct Script(std::vec::IntoIter<u32>);

impl Step for Script {
    fn apply(&mut self, candidates: &mut Candidates) {
        let next = self.0.next();
        candidates.retain(|c| Some(c.id) == next);
    }
}

/// The tokens of a text: bytes, and control tokens by their strings.
pub(crate) fn ids(text: &str, control: &[&str]) -> Vec<u32> {
    let mut ids = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        match control.iter().position(|control| rest.starts_with(control.as_bytes())) {
            Some(i) => {
                ids.push((N_VOCAB + i) as u32);
                rest = &rest[control[i].len()..];
            }
            None => {
                ids.push(3 + u32::from(*first));
                rest = tail;
            }
        }
    }
    ids
}

/// A model that says this, then ends its answer.
pub(crate) fn saying(text: &str, control: &[&str]) -> GenerateOptions {
    let mut script = ids(text, control);
    script.push(2);
    let sampler = Sampler::builder().step(Script(script.into_iter())).greedy().build().unwrap();
    GenerateOptions { sampler, ..GenerateOptions::default() }
}

/// A whole answer: how many tokens were kept, the end, and the reply.
pub(crate) fn answer(
    conversation: &Conversation,
    context: &mut Context,
    options: GenerateOptions,
) -> Result<(usize, Finish, Reply), EngineError> {
    let answer = conversation.answer(context, 0, options)?;
    let reused = answer.reused();
    let mut reply = Reply::default();
    for event in answer {
        match event? {
            Event::Reply(whole) => reply = whole,
            Event::Done(finish) => return Ok((reused, finish, reply)),
            _ => {}
        }
    }
    panic!("the last event is Done")
}
