//! The program that the machine runs: a small automaton over bytes for each rule, with calls between them.
//!
//! ```text
//! rule "a" [x-z]* b   becomes   n1: 'a' -> n2;   n2: split n3, n4;   n3: [x-z] -> n2;   n4: call b, then accept
//! ```
//!
//! Characters outside ASCII are calls of a rule that spells their UTF-8 (`utf8.rs`), one rule per set of characters. So
//! a repetition of a thousand characters costs two nodes for each.

mod analysis;
mod build;
mod utf8;

use crate::rules::{Plan, UniqueStep};

pub(crate) use build::build;
pub(crate) use utf8::{digit_ranges, sequences};

/// A node's number.
pub(crate) type NodeId = u32;

/// The one node at which every rule ends.
pub(crate) const ACCEPT: NodeId = 0;

/// A step of the automaton.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    /// The rule has been matched.
    Accept,
    /// One byte of a set.
    Bytes { set: u32, next: NodeId },
    /// One whole token: this one or, with `negated`, any other.
    Token { token: u32, negated: bool, next: NodeId },
    /// Any of these, without consuming anything.
    Split(Vec<NodeId>),
    /// A rule, and then `next`. With `skip`, a rule that can be empty may be skipped.
    Call { rule: u32, next: NodeId, skip: bool },
    /// A step of the check that items differ.
    Unique { step: UniqueStep, next: NodeId },
}

/// A set of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct ByteSet([u64; 4]);

impl ByteSet {
    pub(crate) fn insert_range(&mut self, low: u8, high: u8) {
        for byte in low..=high {
            self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
        }
    }

    pub(crate) fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 != 0
    }
}

/// A compiled grammar.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) nodes: Vec<Node>,
    pub(crate) sets: Vec<ByteSet>,
    /// The node at which each rule begins.
    pub(crate) starts: Vec<NodeId>,
    /// Whether each rule matches the empty string.
    pub(crate) nullable: Vec<bool>,
    /// Each rule's place in an order with callers before callees, for calls that happen before anything is consumed.
    pub(crate) rank: Vec<u32>,
    /// The rule that texts start from.
    pub(crate) root: u32,
    /// The class of each byte. Bytes that no set distinguishes share a class; if the items of an array must differ,
    /// each byte has its own.
    pub(crate) class_of: [u8; 256],
    /// One byte of each class.
    pub(crate) members: Vec<u8>,
    /// The texts of tokens whose ids only a vocabulary knows, and where they are mentioned. A [`Node::Token`] with the
    /// number [`NAMED_TOKEN`]` + i` refers to entry `i`.
    pub(crate) named_tokens: Vec<(String, Option<crate::error::Place>)>,
    /// The plans of arrays whose items must differ; kinds are indices of `starts`.
    pub(crate) plans: Vec<Plan>,
    /// Constraints of the rules' sources that are not checked.
    pub(crate) ignored: Vec<String>,
}

/// Token numbers from here on are indices into [`Program::named_tokens`].
pub(crate) const NAMED_TOKEN: u32 = 1 << 31;
