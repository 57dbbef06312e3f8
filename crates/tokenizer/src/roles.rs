//! Which tokens have which role: from the file, from the defaults of the vocabulary's kind, and by well-known strings.
//!
//! Files rarely name all roles, so llama.cpp looks for the strings that models use. These are its lists.

use crate::spec::{SpecialIds, TokenizerSpec};
use crate::vocab::{Vocab, attr};
use crate::{TokenId, TokenizerError};

const EOT: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "<｜end▁of▁sentence｜>",
    "<end_of_utterance>",
];
const EOM: &[&str] = &["<|eom_id|>"];
const FIM_PREFIX: &[&str] = &[
    "<|fim_prefix|>",
    "<fim-prefix>",
    "<fim_prefix>",
    "<｜fim▁begin｜>",
    "<PRE>",
    "▁<PRE>",
    "<|code_prefix|>",
    "<|prefix|>",
];
const FIM_SUFFIX: &[&str] = &[
    "<|fim_suffix|>",
    "<fim-suffix>",
    "<fim_suffix>",
    "<｜fim▁hole｜>",
    "<SUF>",
    "▁<SUF>",
    "<|code_suffix|>",
    "<|suffix|>",
];
const FIM_MIDDLE: &[&str] = &[
    "<|fim_middle|>",
    "<fim-middle>",
    "<fim_middle>",
    "<｜fim▁end｜>",
    "<MID>",
    "▁<MID>",
    "<|code_middle|>",
    "<|middle|>",
];
const FIM_PAD: &[&str] = &["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"];
const FIM_REPO: &[&str] = &["<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"];
const FIM_SEPARATOR: &[&str] = &["<|file_sep|>"];

/// Strings that end the generation in any model that has them.
const END: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
];

/// Control tokens of gpt-oss that belong to the text.
const RENDERED: &[&str] = &["<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"];

fn find(vocab: &Vocab, text: &str) -> Option<TokenId> {
    vocab.find(text.as_bytes())
}

/// Completes the ids, and marks the tokens in the vocabulary.
pub(crate) fn assign(
    vocab: &mut Vocab,
    spec: &TokenizerSpec,
    defaults: SpecialIds,
) -> Result<SpecialIds, TokenizerError> {
    let named = &spec.special;
    let valid = |id: Option<TokenId>| id.filter(|id| (*id as usize) < vocab.len());
    let choose = |named, default| valid(named).or(valid(default));
    let first_end = spec.eos_ids.iter().copied().find(|id| valid(Some(*id)).is_some());
    let mut ids = SpecialIds {
        bos: choose(named.bos, defaults.bos),
        eos: choose(valid(named.eos).or(first_end), defaults.eos),
        unk: choose(named.unk, defaults.unk),
        eot: valid(named.eot),
        eom: valid(named.eom),
        sep: choose(named.sep, defaults.sep),
        pad: choose(named.pad, defaults.pad),
        mask: choose(named.mask, defaults.mask),
        fim_prefix: valid(named.fim_prefix),
        fim_suffix: valid(named.fim_suffix),
        fim_middle: valid(named.fim_middle),
        fim_pad: valid(named.fim_pad),
        fim_repo: valid(named.fim_repo),
        fim_separator: valid(named.fim_separator),
    };
    let by_text: [(&mut Option<TokenId>, &[&str]); 8] = [
        (&mut ids.eot, EOT),
        (&mut ids.eom, EOM),
        (&mut ids.fim_prefix, FIM_PREFIX),
        (&mut ids.fim_suffix, FIM_SUFFIX),
        (&mut ids.fim_middle, FIM_MIDDLE),
        (&mut ids.fim_pad, FIM_PAD),
        (&mut ids.fim_repo, FIM_REPO),
        (&mut ids.fim_separator, FIM_SEPARATOR),
    ];
    for (id, texts) in by_text {
        if id.is_none()
            && let Some(found) = texts.iter().find_map(|text| find(vocab, text))
        {
            *id = Some(found);
            vocab.add_attrs(found, attr::CONTROL);
        }
    }
    mark_ends(vocab, &ids, &spec.eos_ids);
    let ends = |id: &TokenId| vocab.attrs(*id) & attr::EOG != 0;
    // gpt-oss: `<|end|>` only ends messages.
    if named.eot.is_none() && !ids.eot.as_ref().is_some_and(ends) {
        ids.eot = EOT.iter().filter_map(|text| find(vocab, text)).find(ends);
    }
    strip_spaces(vocab, spec);
    Ok(ids)
}

/// Marks the tokens that end the generation.
fn mark_ends(vocab: &mut Vocab, ids: &SpecialIds, more: &[TokenId]) {
    for id in [ids.fim_pad, ids.fim_repo, ids.fim_separator].into_iter().flatten() {
        vocab.add_attrs(id, attr::EOG);
    }
    for id in END.iter().filter_map(|text| find(vocab, text)).collect::<Vec<_>>() {
        vocab.add_attrs(id, attr::EOG | attr::CONTROL);
    }
    for id in RENDERED.iter().filter_map(|text| find(vocab, text)).collect::<Vec<_>>() {
        vocab.set_attrs(id, attr::USER_DEFINED);
    }
    for id in [ids.eos, ids.eot, ids.eom].into_iter().flatten().chain(more.iter().copied()) {
        vocab.add_attrs(id, attr::EOG);
    }
    let ends = |vocab: &Vocab, text: &str| find(vocab, text).filter(|id| vocab.attrs(*id) & attr::EOG != 0);
    // In gpt-oss and Solar, `<|end|>` ends a message, and other tokens end the answer.
    let call = ends(vocab, "<|call|>").or(ends(vocab, "<|calls|>"));
    if let Some(end) = ends(vocab, "<|end|>")
        && call.is_some()
        && (ends(vocab, "<|return|>").is_some() || ends(vocab, "<|flush|>").is_some())
    {
        vocab.set_attrs(end, attr::USER_DEFINED);
    }
    // In Gemma 4 and PLaMo, `</s>` is an ordinary token.
    if let Some(s) = ends(vocab, "</s>")
        && (ends(vocab, "<|tool_response>").is_some() || ends(vocab, "<|plamo:eos|>").is_some())
    {
        vocab.set_attrs(s, attr::NORMAL);
    }
}

/// Marks tokens that absorb the white space beside them. Files do not say which; only names tell.
fn strip_spaces(vocab: &mut Vocab, spec: &TokenizerSpec) {
    let contains = |text: &Option<String>, names: &[&str]| {
        text.as_ref().is_some_and(|text| names.iter().any(|name| text.contains(name)))
    };
    let named = |name: &str| {
        let text = spec.model_name.as_deref().unwrap_or("").as_bytes();
        text.windows(name.len()).any(|window| window.eq_ignore_ascii_case(name.as_bytes()))
    };
    let mut lstrip = |mask: &str| {
        if let Some(id) = find(vocab, mask) {
            vocab.add_attrs(id, attr::LSTRIP);
        }
    };
    if contains(&spec.pre, &["jina-v2-de", "jina-v2-es", "jina-v2-code"])
        || contains(&spec.architecture, &["nomic-bert-moe", "jina-bert-v3"])
    {
        lstrip("<mask>");
    } else if named("phi-3") || named("phi3") {
        for id in 0..vocab.len() as TokenId {
            if vocab.attrs(id) & attr::IN_TEXT != 0 {
                vocab.add_attrs(id, attr::RSTRIP);
            }
        }
        if let Some(end) = find(vocab, "</s>") {
            vocab.add_attrs(end, attr::RSTRIP);
        }
        for id in ["<unk>", "<s>", "<|endoftext|>"].iter().filter_map(|s| find(vocab, s)).collect::<Vec<_>>()
        {
            vocab.set_attrs(id, vocab.attrs(id) & !attr::RSTRIP);
        }
    } else if named("modern-bert") {
        lstrip("[MASK]");
    }
}
