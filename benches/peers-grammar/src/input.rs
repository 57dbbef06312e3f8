//! Files that the table writes and the probes read: vocabularies, and texts as lists of ids. Numbers are little-endian.

use std::fs;
use std::path::Path;

use crate::Result;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Text,
    /// A control token: no part of any text.
    Control,
    /// The token that ends a text.
    End,
}

/// A token of a vocabulary.
pub struct Token {
    pub kind: Kind,
    pub bytes: Vec<u8>,
}

fn put(out: &mut Vec<u8>, number: usize) -> Result<()> {
    out.extend(u32::try_from(number)?.to_le_bytes());
    Ok(())
}

fn take(bytes: &mut &[u8]) -> Result<usize> {
    let (number, rest) = bytes.split_first_chunk::<4>().ok_or("the file ends in a number")?;
    *bytes = rest;
    Ok(u32::from_le_bytes(*number) as usize)
}

/// Writes a vocabulary.
pub fn write_tokens(path: &Path, tokens: &[Token]) -> Result<()> {
    let mut out = Vec::new();
    for Token { kind, bytes } in tokens {
        put(&mut out, *kind as usize)?;
        put(&mut out, bytes.len())?;
        out.extend(bytes);
    }
    Ok(fs::write(path, out)?)
}

/// Reads a vocabulary.
pub fn read_tokens(path: &str) -> Result<Vec<Token>> {
    let bytes = fs::read(path)?;
    let mut rest = &bytes[..];
    let mut tokens = Vec::new();
    while !rest.is_empty() {
        let kind = match take(&mut rest)? {
            0 => Kind::Text,
            1 => Kind::Control,
            _ => Kind::End,
        };
        let length = take(&mut rest)?;
        let (bytes, after) = rest.split_at_checked(length).ok_or("the file ends in a token")?;
        tokens.push(Token { kind, bytes: bytes.to_vec() });
        rest = after;
    }
    Ok(tokens)
}

/// Writes texts.
pub fn write_texts(path: &Path, texts: &[Vec<u32>]) -> Result<()> {
    let mut out = Vec::new();
    for text in texts {
        put(&mut out, text.len())?;
        text.iter().for_each(|id| out.extend(id.to_le_bytes()));
    }
    Ok(fs::write(path, out)?)
}

/// Reads texts.
pub fn read_texts(path: &str) -> Result<Vec<Vec<u32>>> {
    let bytes = fs::read(path)?;
    let mut rest = &bytes[..];
    let mut texts = Vec::new();
    while !rest.is_empty() {
        let length = take(&mut rest)?;
        let text: Result<Vec<u32>> = (0..length).map(|_| Ok(take(&mut rest)? as u32)).collect();
        texts.push(text?);
    }
    Ok(texts)
}
