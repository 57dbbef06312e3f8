//! Stages that cut numbers from the right, and so must see a whole number first.

use super::run;
use crate::unicode::{N, is};

/// Numbers in groups of three from the right. The text before a number stays with its first group, as in llama.cpp,
/// which omits that cut.
pub(super) fn from_the_right<E>(text: &str, mut each: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
    let mut piece = 0;
    let mut at = 0;
    while at < text.len() {
        let first = run(text, at, |c| !is(c, N));
        let end = run(text, first, |c| is(c, N));
        let number = text.get(first..end).unwrap_or("");
        let mut left = number.chars().count();
        for (i, c) in number.char_indices() {
            left -= 1;
            if left.is_multiple_of(3) {
                let end = first + i + c.len_utf8();
                each(text.get(piece..end).unwrap_or(""))?;
                piece = end;
            }
        }
        at = end;
    }
    if piece < text.len() {
        each(text.get(piece..).unwrap_or(""))?;
    }
    Ok(())
}

/// Cuts before every group of three ASCII digits, counted from the end of the number.
pub(super) fn before_three_digits<E>(
    text: &str,
    mut each: impl FnMut(&str) -> Result<(), E>,
) -> Result<(), E> {
    let mut piece = 0;
    let mut at = 0;
    while at < text.len() {
        let first = run(text, at, |c| !c.is_ascii_digit());
        let end = run(text, first, |c| c.is_ascii_digit());
        for cut in (first..end).filter(|cut| (end - cut).is_multiple_of(3)) {
            if cut > piece {
                each(text.get(piece..cut).unwrap_or(""))?;
                piece = cut;
            }
        }
        at = end;
    }
    if piece < text.len() {
        each(text.get(piece..).unwrap_or(""))?;
    }
    Ok(())
}
