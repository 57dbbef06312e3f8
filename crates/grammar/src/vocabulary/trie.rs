//! A trie in one array, in depth-first order.

/// What a node has for a token when none ends there.
const NO_TOKEN: u32 = u32::MAX;

/// A byte of tokens that begin alike.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    /// The index behind the node's descendants.
    pub(crate) skip: u32,
    token: u32,
    /// How many bytes lead here, at least 1.
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
    /// Tokens with the bytes of an earlier one: (that one, this one).
    twins: Vec<(u32, u32)>,
    depth: usize,
}

impl Trie {
    /// A trie of tokens, none of them empty or longer than a `u16` counts.
    pub(super) fn new(mut tokens: Vec<(&[u8], u32)>) -> Self {
        tokens.sort_unstable();
        let (mut nodes, mut twins): (Vec<Node>, Vec<(u32, u32)>) = (Vec::new(), Vec::new());
        let mut path: Vec<usize> = Vec::new();
        let mut depth = 0;
        let mut before: (&[u8], u32) = (&[], 0);
        for (bytes, token) in tokens {
            if bytes == before.0 {
                twins.push((before.1, token));
                continue;
            }
            let common = bytes.iter().zip(before.0).take_while(|(a, b)| a == b).count();
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
            depth = depth.max(bytes.len());
            before = (bytes, token);
        }
        for left in path {
            nodes[left].skip = nodes.len() as u32;
        }
        // Held as long as the model is.
        nodes.shrink_to_fit();
        twins.shrink_to_fit();
        Self { nodes, twins, depth }
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(crate) fn twins(&self) -> &[(u32, u32)] {
        &self.twins
    }

    /// The longest token's bytes.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn memory(&self) -> usize {
        size_of_val(self.nodes.as_slice()) + size_of_val(self.twins.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skips_lead_past_descendants() {
        let tokens: Vec<(&[u8], u32)> = vec![(b"ab", 0), (b"a", 1), (b"b", 2), (b"abc", 3), (b"ab", 4)];
        let trie = Trie::new(tokens);
        let nodes: Vec<_> = trie.nodes().iter().map(|n| (n.byte, n.depth, n.skip, n.token())).collect();
        let expected =
            [(b'a', 1, 3, Some(1)), (b'b', 2, 3, Some(0)), (b'c', 3, 3, Some(3)), (b'b', 1, 4, Some(2))];
        assert_eq!(nodes, expected);
        assert_eq!((trie.twins(), trie.depth()), (&[(0, 4)][..], 3));
    }
}
