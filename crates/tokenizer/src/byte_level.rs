//! GPT-2's printable stand-ins for bytes: a byte-level vocabulary spells each byte as one character. Printable bytes
//! keep their Latin-1 character; the others become U+0100, U+0101 and so on, in ascending order.

use crate::TokenizerError;
use crate::reserve::Reserve;

const fn prints(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF)
}

const fn characters() -> [u16; 256] {
    let mut characters = [0u16; 256];
    let mut next = 0x100;
    let mut byte = 0;
    while byte < 256 {
        if prints(byte as u8) {
            characters[byte] = byte as u16;
        } else {
            characters[byte] = next;
            next += 1;
        }
        byte += 1;
    }
    characters
}

/// Stand-ins above Latin-1 run from U+0100 to U+0143.
const fn bytes() -> [u8; 0x144 - 0x100] {
    let mut bytes = [0u8; 0x144 - 0x100];
    let mut byte = 0;
    while byte < 256 {
        if CHARACTERS[byte] >= 0x100 {
            bytes[CHARACTERS[byte] as usize - 0x100] = byte as u8;
        }
        byte += 1;
    }
    bytes
}

static CHARACTERS: [u16; 256] = characters();
static BYTES: [u8; 0x144 - 0x100] = bytes();

/// The character that stands for a byte.
#[inline]
#[cfg(test)]
pub(crate) fn char_of(byte: u8) -> char {
    CHARACTERS.get(usize::from(byte)).and_then(|&c| char::from_u32(u32::from(c))).unwrap_or('\u{fffd}')
}

/// The byte that a character stands for.
#[inline]
pub(crate) fn byte_of(c: char) -> Option<u8> {
    match c as u32 {
        point @ 0..=0xFF => (prints(point as u8)).then_some(point as u8),
        point => BYTES.get((point - 0x100) as usize).copied(),
    }
}

/// Appends the stand-ins of `bytes` as UTF-8.
#[inline]
pub(crate) fn encode_into(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), TokenizerError> {
    for &byte in bytes {
        let point = CHARACTERS.get(usize::from(byte)).copied().unwrap_or(0xFFFD);
        if point < 0x80 {
            out.add(point as u8)?;
        } else {
            // All stand-ins are below U+0800.
            out.add_all(&[0xC0 | (point >> 6) as u8, 0x80 | (point & 0x3F) as u8])?;
        }
    }
    Ok(())
}

/// Appends the bytes that a vocabulary string stands for. Characters that are not stand-ins are kept.
pub(crate) fn decode_into(text: &[u8], out: &mut Vec<u8>) -> Result<(), TokenizerError> {
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match byte_of(c) {
                Some(byte) => out.add(byte)?,
                None => out.add_all(c.encode_utf8(&mut [0; 4]).as_bytes())?,
            }
        }
        out.add_all(chunk.invalid())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_own_character() {
        for byte in 0..=255u8 {
            assert_eq!(byte_of(char_of(byte)), Some(byte));
            let mut encoded = Vec::new();
            encode_into(&[byte], &mut encoded).unwrap();
            assert_eq!(encoded, char_of(byte).to_string().as_bytes());
        }
        assert_eq!((char_of(b' '), char_of(b'\n'), char_of(0xAD)), ('Ġ', 'Ċ', '\u{143}'));
        assert_eq!(
            (byte_of(' '), byte_of('\u{ad}'), byte_of('\u{144}'), byte_of('中')),
            (None, None, None, None)
        );
    }

    #[test]
    fn strings_decode() {
        let cases: &[(&str, &[u8])] =
            &[("", b""), ("Ġthe", b" the"), ("Ã©", "é".as_bytes()), ("<|x中|>", "<|x中|>".as_bytes())];
        for (text, expected) in cases {
            let mut out = Vec::new();
            decode_into(text.as_bytes(), &mut out).unwrap();
            assert_eq!(&out, expected, "{text}");
        }
    }
}
