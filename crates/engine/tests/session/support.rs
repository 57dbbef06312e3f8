//! A session of three turns, and its records.

use crate::common::{self, Folder};
use happy_engine::chat::Message;
use happy_engine::session::{MemoryStorage, Session, Storage, Turn};
use happy_engine::{Context, Conversation, Engine, LoadOptions};
use happy_gguf::{GgmlType, GgufWriter};
use std::path::PathBuf;

pub(crate) const CONTROL: [&str; 2] = ["<call>", "</call>"];
pub(crate) const TEMPLATE: &str =
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]";

pub(crate) fn options() -> LoadOptions {
    LoadOptions { threads: Some(1), batch: 32, context: Some(256), sequences: 2, ..LoadOptions::default() }
}

pub(crate) fn engine() -> Engine {
    common::engine_with(&options(), TEMPLATE, &CONTROL).unwrap()
}

pub(crate) fn context() -> Context {
    engine().context().unwrap()
}

/// `n` tokens from position `first` on.
pub(crate) fn prompt(n: u32, n_vocab: u32, first: u32) -> Vec<u32> {
    (first..first + n).map(|i| 3 + i * 7 % (n_vocab - 3)).collect()
}

pub(crate) fn bits(logits: &[f32]) -> Vec<u32> {
    logits.iter().map(|x| x.to_bits()).collect()
}

/// The logits after one more token, which the second sequence computes.
pub(crate) fn next_logits(context: &mut Context) -> Vec<u32> {
    context.fork(0, 1).unwrap();
    let logits = bits(context.step(1, 5).unwrap());
    context.truncate(1, 0).unwrap();
    logits
}

/// A turn of the example.
pub(crate) struct Turned {
    /// Where it ends in the file.
    pub(crate) end: usize,
    pub(crate) tokens: Vec<u32>,
    /// After one more token.
    pub(crate) logits: Vec<u32>,
}

/// Three turns of a conversation.
pub(crate) struct Example {
    pub(crate) bytes: Vec<u8>,
    pub(crate) turns: Vec<Turned>,
}

impl Example {
    pub(crate) fn new() -> Self {
        let (session, turns) = three_turns(MemoryStorage::default(), |session| session.bytes() as usize);
        Self { bytes: session.into_storage().0, turns }
    }

    /// The same, and after the last turn some tokens of an answer.
    pub(crate) fn within_an_answer() -> Self {
        let Self { bytes, turns } = Self::new();
        let mut context = context();
        let (mut session, _) = Session::open_in(MemoryStorage(bytes), &mut context, 0).unwrap();
        let mut generation = context.generate(0, &[70, 71], Default::default()).unwrap();
        generation.by_ref().take(9).for_each(|event| drop(event.unwrap()));
        let answer = generation.partial_answer().unwrap();
        session.append(generation.context(), Turn { answer: Some(&answer), ..Turn::default() }).unwrap();
        drop(generation);
        Self { bytes: session.into_storage().0, turns }
    }
}

/// The turns of the example in a storage; `end` tells where a turn that was just written ends.
pub(crate) fn three_turns<S: Storage>(
    storage: S,
    end: impl Fn(&Session<S>) -> usize,
) -> (Session<S>, Vec<Turned>) {
    let mut context = context();
    let mut conversation = Conversation::new(context.engine()).unwrap();
    let mut session = Session::create_in(storage, &context, 0).unwrap();
    let mut turns = Vec::new();
    for (question, answer) in [("one?", "Yes."), ("and two?", "No, <call>x</call>."), ("three?", "Ok.")] {
        turn(&mut conversation, &mut context, question, answer);
        session.append(&context, Turn { conversation: Some(&conversation), ..Default::default() }).unwrap();
        let tokens = context.tokens(0).to_vec();
        turns.push(Turned { end: end(&session), tokens, logits: next_logits(&mut context) });
    }
    (session, turns)
}

/// A question and its answer, both added to the conversation. Returns how many tokens were reused.
pub(crate) fn turn(
    conversation: &mut Conversation,
    context: &mut Context,
    question: &str,
    answer: &str,
) -> usize {
    conversation.push(Message::new("user", question));
    let options = common::script::saying(answer, &CONTROL);
    let (reused, _, reply) = common::script::answer(conversation, context, options).unwrap();
    conversation.push(reply.message().unwrap());
    reused
}

/// Where the records of a session begin, and where the last one ends: the preamble is not among them.
pub(crate) fn boundaries(bytes: &[u8]) -> Vec<usize> {
    let (mut at, mut all) = (64, vec![64]);
    while let Some(header) = bytes.get(at..at + 64) {
        let len = u64::from_le_bytes(header[8..16].try_into().unwrap()) as usize;
        // A changed length may be any number.
        at = at.saturating_add(64).saturating_add(len.min(bytes.len()).next_multiple_of(64)).min(bytes.len());
        all.push(at);
    }
    all
}

/// The kind of the record at a boundary.
pub(crate) fn kind(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at + 4..at + 8)?.try_into().unwrap()))
}

/// CRC-32C, bit by bit.
fn crc(bytes: impl Iterator<Item = u8>) -> u32 {
    !bytes.fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg()))
    })
}

/// Gives every record the checksum that it would have if a program had written it so.
pub(crate) fn reseal(bytes: &mut [u8]) {
    let boundaries = boundaries(bytes);
    let mut before: [u8; 4] = bytes[56..60].try_into().unwrap();
    for pair in boundaries.windows(2) {
        let record = &bytes[pair[0]..pair[1]];
        if record.len() < 64 {
            return;
        }
        let all = before.iter().chain(&record[..56]).chain(&record[64..]);
        before = crc(all.copied()).to_le_bytes();
        bytes[pair[0] + 56..pair[0] + 60].copy_from_slice(&before);
    }
}

/// An adapter for the query and the down matrix of the first layer.
pub(crate) fn adapter(folder: &Folder, seed: f32) -> PathBuf {
    adapter_with(folder, seed, &[])
}

/// The same, from these tokens on.
pub(crate) fn adapter_with(folder: &Folder, seed: f32, invocation: &[u32]) -> PathBuf {
    let mut writer = GgufWriter::new()
        .kv("general.architecture", "llama")
        .kv("general.type", "adapter")
        .kv("adapter.type", "lora")
        .kv("adapter.lora.alpha", 4.0f32);
    if !invocation.is_empty() {
        writer = writer.kv("adapter.alora.invocation_tokens", invocation.to_vec());
    }
    let halves: [(&str, [u64; 2]); 4] = [
        ("blk.0.attn_q.weight.lora_a", [64, 3]),
        ("blk.0.attn_q.weight.lora_b", [3, 64]),
        ("blk.0.ffn_down.weight.lora_a", [96, 3]),
        ("blk.0.ffn_down.weight.lora_b", [3, 64]),
    ];
    for (name, dims) in halves {
        let values = (0..dims[0] * dims[1]).map(|i| ((i as f32 + 1.0) * seed).fract() - 0.5);
        writer = writer.tensor(name, GgmlType::F32, &dims, happy_testkit::le_bytes(values));
    }
    folder.file(format!("{seed}-{}.gguf", invocation.len()), &writer.to_vec().unwrap())
}
