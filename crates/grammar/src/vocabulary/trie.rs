//! A trie in one array, in depth-first order.

use crate::halt::{Halt, Meter};

/// The value of a node at which no token ends.
const NO_TOKEN: u32 = u32::MAX;

/// One byte of all tokens that share the bytes before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    /// The index after the node's descendants.
    pub(crate) skip: u32,
    token: u32,
    /// The number of bytes on the path to here, at least 1.
    pub(crate) depth: u16,
    pub(crate) byte: u8,
}

impl Node {
    /// The token that ends here.
    #[inline]
    pub(crate) fn token(&self) -> Option<u32> {
        (self.token != NO_TOKEN).then_some(self.token)
    }
}

/// Tokens by their bytes.
#[derive(Debug)]
pub(crate) struct Trie {
    nodes: Vec<Node>,
    /// Tokens with the same bytes as an earlier one: (earlier, this one).
    twins: Vec<(u32, u32)>,
    depth: usize,
}

impl Trie {
    /// Makes a trie of tokens. None may be empty or longer than a `u16` can count.
    pub(super) fn new(mut tokens: Vec<(&[u8], u32)>, meter: &Meter<'_>) -> Result<Self, Halt> {
        sort(&mut tokens, meter)?;
        // Kept as long as the model, so it is counted first and allocated without spare capacity.
        let (mut count, mut same, mut depth) = (0, 0, 0);
        let mut before: &[u8] = &[];
        for (bytes, _) in &tokens {
            meter.step(1 + bytes.len() / 8)?;
            count += bytes.len() - common(bytes, before);
            same += usize::from(*bytes == before);
            depth = depth.max(bytes.len());
            before = bytes;
        }
        let (mut nodes, mut twins): (Vec<Node>, Vec<(u32, u32)>) = (Vec::new(), Vec::new());
        nodes.try_reserve_exact(count)?;
        twins.try_reserve_exact(same)?;
        let mut path: Vec<usize> = Vec::new();
        path.try_reserve_exact(depth)?;
        let mut before: (&[u8], u32) = (&[], 0);
        for (bytes, token) in tokens {
            meter.step(1 + bytes.len() / 8)?;
            if bytes == before.0 {
                twins.push((before.1, token));
                continue;
            }
            let common = common(bytes, before.0);
            for left in path.drain(common..) {
                nodes[left].skip = nodes.len() as u32;
            }
            for (i, &byte) in bytes.iter().enumerate().skip(common) {
                path.push(nodes.len());
                nodes.push(Node { skip: 0, token: NO_TOKEN, depth: (i + 1) as u16, byte });
            }
            if let Some(&last) = path.last() {
                nodes[last].token = token;
            }
            before = (bytes, token);
        }
        for left in path {
            nodes[left].skip = nodes.len() as u32;
        }
        Ok(Self { nodes, twins, depth })
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(crate) fn twins(&self) -> &[(u32, u32)] {
        &self.twins
    }

    /// The length of the longest token in bytes.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn memory(&self) -> usize {
        size_of_val(self.nodes.as_slice()) + size_of_val(self.twins.as_slice())
    }
}

/// The length of the common prefix of two tokens in bytes.
fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// The number of tokens to sort between two checks for cancellation.
const RUN: usize = 4_096;

/// Sorts in place, in pieces of about a millisecond: runs first, then merges of adjacent runs through a second list.
fn sort<'a>(tokens: &mut Vec<(&'a [u8], u32)>, meter: &Meter<'_>) -> Result<(), Halt> {
    for run in tokens.chunks_mut(RUN) {
        run.sort_unstable();
        meter.step(run.len())?;
    }
    let mut merged: Vec<(&'a [u8], u32)> = Vec::new();
    if tokens.len() > RUN {
        merged.try_reserve_exact(tokens.len())?;
    }
    let mut width = RUN;
    while width < tokens.len() {
        merged.clear();
        for pair in tokens.chunks(2 * width) {
            let (mut left, mut right) = pair.split_at(width.min(pair.len()));
            while let (Some(a), Some(b)) = (left.first(), right.first()) {
                meter.step(1)?;
                if a <= b {
                    merged.push(*a);
                    left = &left[1..];
                } else {
                    merged.push(*b);
                    right = &right[1..];
                }
            }
            merged.extend_from_slice(left);
            merged.extend_from_slice(right);
        }
        core::mem::swap(tokens, &mut merged);
        width *= 2;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skips_lead_past_descendants() {
        let tokens: Vec<(&[u8], u32)> = vec![(b"ab", 0), (b"a", 1), (b"b", 2), (b"abc", 3), (b"ab", 4)];
        let trie = Trie::new(tokens, &Meter::new(&|| false)).expect("memory");
        let nodes: Vec<_> = trie.nodes().iter().map(|n| (n.byte, n.depth, n.skip, n.token())).collect();
        let expected =
            [(b'a', 1, 3, Some(1)), (b'b', 2, 3, Some(0)), (b'c', 3, 3, Some(3)), (b'b', 1, 4, Some(2))];
        assert_eq!(nodes, expected);
        assert_eq!((trie.twins(), trie.depth()), (&[(0, 4)][..], 3));
    }
}
