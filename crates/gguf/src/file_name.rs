//! The naming convention of model files: parsing and formatting.
//!
//! ```text
//! [Sidecar-]BaseName-[SizeLabel[-FineTune]]-Version[-Encoding][-Type][-Shard].gguf
//! ```
//! The format's document gives a regular expression. Dashes separate the parts and also occur within some of them. So
//! the name is split at its dashes, and the pieces are assigned as the expression would: `BaseName` takes as many as it
//! can, then `FineTune`; if the rest does not match, they try one piece less. A name that does not match is not a reason
//! to refuse a file.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// The parts of a file name that follows the naming convention.
///
/// ```
/// use happy_gguf::FileName;
/// let name = FileName::parse("Hermes-2-Pro-Llama-3-8B-Chat-v1.0-Q4_K_M-00001-of-00002.gguf").unwrap();
/// assert_eq!(name.base_name, "Hermes-2-Pro-Llama-3");
/// assert_eq!((name.size_label.as_deref(), name.fine_tune.as_deref()), (Some("8B"), Some("Chat")));
/// assert_eq!((&*name.version, name.encoding.as_deref(), name.shard), ("v1.0", Some("Q4_K_M"), Some((1, 2))));
/// assert_eq!(FileName::parse("model.gguf"), None);
///
/// let name = FileName { base_name: "Tiny".into(), size_label: Some("1M".into()), ..FileName::default() };
/// assert_eq!(name.to_string(), "Tiny-1M-v1.0.gguf");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileName {
    /// `mmproj` or `mtp`: the file accompanies another model.
    pub sidecar: Option<String>,
    /// The base name of the model: `Mixtral`.
    pub base_name: String,
    /// The size of the model: `8x7B`, `3.8B-ContextLength4k`.
    pub size_label: Option<String>,
    /// What the model was fine-tuned for: `Instruct`.
    pub fine_tune: Option<String>,
    /// The version of the model: `v1.0`.
    pub version: String,
    /// The tensor types of the weights: `Q4_K_M`.
    pub encoding: Option<String>,
    /// `LoRA` or `vocab`: the file is not a whole model.
    pub kind: Option<String>,
    /// The number of the part, from 1, and the number of parts.
    pub shard: Option<(u32, u32)>,
}

impl Default for FileName {
    fn default() -> Self {
        Self {
            sidecar: None,
            base_name: String::new(),
            size_label: None,
            fine_tune: None,
            version: "v1.0".to_string(),
            encoding: None,
            kind: None,
            shard: None,
        }
    }
}

impl FileName {
    /// Parses a file name (without folders); `None` if it does not follow the convention.
    pub fn parse(file_name: &str) -> Option<Self> {
        let stem = file_name.strip_suffix(".gguf")?;
        let sidecars = ["mmproj-", "mtp-"];
        // Prefers the reading with a sidecar; otherwise the same letters belong to the base name.
        sidecars
            .iter()
            .find_map(|sidecar| {
                let rest = Self::parse_rest(stem.strip_prefix(sidecar)?)?;
                Some(Self { sidecar: Some(sidecar.trim_end_matches('-').to_string()), ..rest })
            })
            .or_else(|| Self::parse_rest(stem))
    }

    fn parse_rest(stem: &str) -> Option<Self> {
        let pieces: Vec<&str> = stem.split('-').collect();
        let is_base = |i: usize| pieces.get(i).is_some_and(|p| is_base_piece(p, i == 0));
        // Real names have few pieces. A hostile name must not take quadratic time.
        if pieces.len() > 64 {
            return None;
        }
        let longest = (0..pieces.len()).take_while(|i| is_base(*i)).count();
        (1..=longest).rev().find_map(|n| {
            let (base, rest) = pieces.split_at_checked(n)?;
            let name = Self { base_name: base.join("-"), ..Self::default() };
            let with_size = sizes(rest).into_iter().flatten().find_map(|(size, rest)| {
                let name = Self { size_label: Some(size), ..name.clone() };
                let longest = rest.iter().take_while(|p| is_fine_tune_piece(p)).count();
                (0..=longest).rev().find_map(|n| {
                    let (tune, rest) = rest.split_at_checked(n)?;
                    let tune = (n > 0).then(|| tune.join("-"));
                    // A fine-tune must not be a single empty piece, which would have no letters.
                    let tune = tune.filter(|t| !t.is_empty() || n == 0);
                    if n > 0 && tune.is_none() {
                        return None;
                    }
                    end(rest, Self { fine_tune: tune, ..name.clone() })
                })
            });
            // The expression requires the dash after the size even if there is no size: an empty piece.
            with_size.or_else(|| match rest {
                ["", rest @ ..] => end(rest, name),
                _ => None,
            })
        })
    }
}

/// A piece of the base name: letters, digits and spaces, but not a leading digit followed by letters, which would be a
/// size.
fn is_base_piece(piece: &str, first: bool) -> bool {
    let blank_or_digit = |b: u8| b.is_ascii_digit() || is_blank(b);
    let all_fit = piece.bytes().all(|b| b.is_ascii_alphanumeric() || is_blank(b));
    let starts_as_word = piece.bytes().next().is_none_or(|b| b.is_ascii_alphabetic() || is_blank(b));
    all_fit && (first || starts_as_word || piece.bytes().all(blank_or_digit))
}

fn is_blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn is_fine_tune_piece(piece: &&str) -> bool {
    piece.bytes().all(|b| b.is_ascii_alphanumeric() || is_blank(b))
}

/// The ways to read a size, longest first: `3.8B-ContextLength4k`, which is two pieces, or `8x7B`.
fn sizes<'p>(pieces: &'p [&'p str]) -> [Option<(String, &'p [&'p str])>; 2] {
    let [first, rest @ ..] = pieces else { return [None, None] };
    let body = first.split_once('x').filter(|(n, _)| is_digits(n)).map_or(*first, |(_, body)| body);
    let number = body.strip_suffix(|c: char| c.is_ascii_alphabetic());
    if !number.is_some_and(is_decimal) {
        return [None, None];
    }
    let longer = match rest {
        [second, behind @ ..] if is_attribute(second) => Some(([first, "-", second].concat(), behind)),
        _ => None,
    };
    [longer, Some(((*first).to_string(), rest))]
}

/// Letters, a number, letters.
fn is_attribute(piece: &str) -> bool {
    let body = piece.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let number = body.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    body.len() < piece.len() && number.len() < body.len() && is_decimal(number)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_decimal(text: &str) -> bool {
    let (whole, part) = text.split_once('.').unwrap_or(("0", text));
    is_digits(whole) && is_digits(part)
}

/// Parses version, encoding, type and shard, which must use up all pieces.
fn end(pieces: &[&str], name: FileName) -> Option<FileName> {
    let [version, rest @ ..] = pieces else { return None };
    let numbers = version.strip_prefix('v')?;
    if !numbers.split('.').all(is_digits) {
        return None;
    }
    let mut name = FileName { version: (*version).to_string(), ..name };
    let mut rest = rest;
    let is_encoding = |p: &str| {
        let word = !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        word && !p.starts_with("LoRA") && !p.starts_with("vocab")
    };
    // If both are possible, a shard is tried first: three pieces at the end cannot be anything else.
    if let [piece, behind @ ..] = rest
        && is_encoding(piece)
        && !(behind.len() == 2 && shard(rest).is_some())
    {
        name.encoding = Some((*piece).to_string());
        rest = behind;
    }
    if let [kind @ ("LoRA" | "vocab"), behind @ ..] = rest {
        name.kind = Some((*kind).to_string());
        rest = behind;
    }
    match rest {
        [] => Some(name),
        _ => shard(rest).map(|shard| FileName { shard: Some(shard), ..name }),
    }
}

fn shard(pieces: &[&str]) -> Option<(u32, u32)> {
    let number = |p: &str| (p.len() == 5 && is_digits(p)).then(|| p.parse().ok())?;
    match pieces {
        [no, "of", count] => Some((number(no)?, number(count)?)),
        _ => None,
    }
}

impl fmt::Display for FileName {
    /// The file name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(sidecar) = &self.sidecar {
            write!(f, "{sidecar}-")?;
        }
        write!(f, "{}-", self.base_name)?;
        if let Some(size) = &self.size_label {
            f.write_str(size)?;
        }
        if let Some(tune) = &self.fine_tune {
            write!(f, "-{tune}")?;
        }
        write!(f, "-{}", self.version)?;
        for part in [&self.encoding, &self.kind].into_iter().flatten() {
            write!(f, "-{part}")?;
        }
        if let Some((no, count)) = self.shard {
            write!(f, "-{no:05}-of-{count:05}")?;
        }
        f.write_str(".gguf")
    }
}
