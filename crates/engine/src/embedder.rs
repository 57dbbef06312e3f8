//! Texts to vectors, and documents to ranks.
//!
//! ```text
//! tokens of each text, with the special tokens that the model wants around them
//! passes of whole texts: as many as fit the planned batch and sequences; what a text gives does not depend on its neighbors
//! vectors: pooled; the first `dimensions` values; divided by their length
//! ranks:   the model's template, or  [BOS] query [EOS] [SEP] document [EOS]  with the tokens that the tokenizer adds
//! ```

use crate::reserve::reserve;
use crate::{Cancel, Engine, EngineError};
use happy_kernels::{Ctx, Pool};
use happy_model::{Batch, KvCache, Pooling, Scratch};
use happy_tokenizer::{EncodeOptions, TokenId, Tokenizer};
use std::ops::Range;

/// What to do with a text that has more tokens than the planned context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TooLong {
    /// Returns an error.
    #[default]
    Refuse,
    /// Keeps the first tokens, and the special token at the end.
    Truncate,
}

/// How texts become vectors. The default is the model's own pooling, normalized, with all dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbedOptions {
    /// How the hidden states of a text become one vector. Default: `None`, as the file says (key `{arch}.pooling_type`).
    pub pooling: Option<Pooling>,
    /// Whether vectors are divided by their length, so that their dot product is their cosine. Default: true. Ranks are not.
    pub normalize: bool,
    /// How many of a vector's first values to keep, from 1 to the width of the vectors, for models that were trained for it (Matryoshka).
    /// Default: `None`, all.
    pub dimensions: Option<usize>,
    /// What to do with a text that is longer than the context. Default: [`TooLong::Refuse`].
    pub too_long: TooLong,
}

impl Default for EmbedOptions {
    fn default() -> Self {
        Self { pooling: None, normalize: true, dimensions: None, too_long: TooLong::default() }
    }
}

/// The embedding of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// Number of tokens that were computed.
    pub tokens: usize,
    /// Tokens that were left out because the text is too long.
    pub left_out: usize,
    /// The vector; with [`Pooling::None`], the vectors of all tokens, one after the other.
    pub values: Vec<f32>,
}

/// How well a document matches a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rank {
    /// The index of the document among those given, from 0.
    pub index: usize,
    /// The model's score, the higher the better; its scale is the model's own.
    pub score: f32,
}

/// Memory and threads that turn texts into vectors. One caller at a time; make several for independent work.
///
/// ```no_run
/// use happy_engine::{Cancel, EmbedOptions, Engine, LoadOptions};
///
/// let engine = Engine::open("minilm.gguf", &LoadOptions::embeddings())?;
/// let mut embedder = engine.embedder(&EmbedOptions::default())?;
/// let found = embedder.embed(&["a small cat", "a kitten"], &Cancel::new())?;
/// let cosine: f32 = found[0].values.iter().zip(&found[1].values).map(|(a, b)| a * b).sum();
/// println!("{cosine}");
/// # Ok::<(), happy_engine::EngineError>(())
/// ```
pub struct Embedder {
    engine: Engine,
    options: EmbedOptions,
    pooling: Pooling,
    /// The hidden states that the pooling reads.
    reads: Pooling,
    pool: Pool,
    kv: KvCache,
    scratch: Scratch,
    batch: Batch,
}

impl Engine {
    /// Makes an embedder: memory and threads for turning texts into vectors. The engine must be loaded with
    /// [`LoadOptions::embeddings`](crate::LoadOptions::embeddings), which plans for that.
    ///
    /// # Errors
    /// [`EngineError::NoPooling`] if neither the file nor the options say how to pool, dimensions that the vectors don't have, ranks
    /// of a model without a classifier, an engine that was loaded to generate text, or memory and threads that cannot be had.
    pub fn embedder(&self, options: &EmbedOptions) -> Result<Embedder, EngineError> {
        let (model, plan) = (self.model(), self.plan());
        if !model.spec().whole_texts {
            return Err(EngineError::NotForEmbeddings);
        }
        let head = &model.spec().head;
        let pooling = options.pooling.or(head.pooling).ok_or(EngineError::NoPooling)?;
        let reads = model.pooling_reads(pooling)?;
        let width = head.width(pooling, model.n_embd());
        if let Some(found) = options.dimensions.filter(|n| !(1..=width).contains(n)) {
            return Err(EngineError::Dimensions { found, width });
        }
        let (run, kv) = plan.options(&self.0.options, model.spec());
        Ok(Embedder {
            engine: self.clone(),
            options: *options,
            pooling,
            reads,
            pool: Pool::new(plan.threads)?,
            kv: model.kv_cache(kv)?,
            scratch: model.scratch(&run)?,
            batch: Batch::try_with_capacity(plan.batch)?,
        })
    }
}

impl Engine {
    /// Embeds texts once, with an embedder of its own: see [`Engine::embedder`] and [`Embedder::embed`]. For several calls make an
    /// embedder, whose memory and threads are used again.
    ///
    /// # Errors
    /// As [`Engine::embedder`] and [`Embedder::embed`].
    pub fn embed(
        &self,
        texts: &[&str],
        options: &EmbedOptions,
        cancel: &Cancel,
    ) -> Result<Vec<Embedding>, EngineError> {
        self.embedder(options)?.embed(texts, cancel)
    }
}

impl Embedder {
    /// Returns the engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Returns how vectors are pooled.
    pub fn pooling(&self) -> Pooling {
        self.pooling
    }

    /// Returns the number of values of a vector.
    pub fn width(&self) -> usize {
        let model = self.engine.model();
        let width = model.spec().head.width(self.pooling, model.n_embd());
        self.options.dimensions.map_or(width, |n| n.min(width))
    }

    /// Returns the embedding of each text, in order.
    ///
    /// # Errors
    /// If the file has no tokenizer, a text has no tokens or is too long, memory cannot be had, or `cancel` is raised.
    pub fn embed(&mut self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Embedding>, EngineError> {
        let tokenizer = self.engine.require_tokenizer()?;
        let (mut all, mut left_out) = (Vec::new(), Vec::new());
        reserve(&mut all, texts.len(), TOKENS)?;
        reserve(&mut left_out, texts.len(), TOKENS)?;
        for (index, text) in texts.iter().enumerate() {
            let options = EncodeOptions { add_special: true, parse_special: false };
            let mut tokens = tokenizer.encode_with(text, options, &|| cancel.is_cancelled())?;
            left_out.push(self.fit(index, &mut tokens, tokenizer)?);
            all.push(tokens);
        }
        let mut found: Vec<Embedding> = Vec::new();
        reserve(&mut found, texts.len(), VECTORS)?;
        for (tokens, left_out) in all.iter().zip(left_out) {
            found.push(Embedding { tokens: tokens.len(), left_out, values: Vec::new() });
        }
        let lists = slices(&all)?;
        self.embed_tokens(&lists, cancel, &mut |index, vector| {
            let Some(found) = found.get_mut(index) else { return Ok(()) };
            reserve(&mut found.values, vector.len(), VECTORS)?;
            found.values.extend_from_slice(vector);
            Ok(())
        })?;
        Ok(found)
    }

    /// Embeds texts that are already token ids, and calls `visit` with each vector and the index of its text: one vector for each text, or
    /// one for each token with [`Pooling::None`], in order. No special tokens are added.
    ///
    /// # Errors
    /// If a text has no tokens, an id is out of range, a text is longer than the context (nothing is truncated here), `visit`
    /// fails, or `cancel` is raised.
    pub fn embed_tokens(
        &mut self,
        texts: &[&[TokenId]],
        cancel: &Cancel,
        visit: &mut dyn FnMut(usize, &[f32]) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        for (index, tokens) in texts.iter().enumerate() {
            self.check(index, tokens.len())?;
        }
        let sequences = self.engine.plan().sequences;
        let mut first = 0;
        while first < texts.len() {
            self.batch.clear();
            let mut count = 0;
            for tokens in texts.iter().skip(first).take(sequences) {
                if tokens.len() > self.batch.capacity() - self.batch.len() {
                    break;
                }
                let adapters = self.engine.adapters().filter(|set| set.invocation_tokens().is_empty());
                self.batch.use_adapters(adapters)?;
                self.batch.push_text(tokens, count as u32, self.reads)?;
                count += 1;
            }
            self.pass(texts.get(first..first + count).unwrap_or(&[]), first, cancel, visit)?;
            first += count.max(1);
        }
        Ok(())
    }

    /// Computes the texts of the batch, of which the first has this index.
    fn pass(
        &mut self,
        texts: &[&[TokenId]],
        first: usize,
        cancel: &Cancel,
        visit: &mut dyn FnMut(usize, &[f32]) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let cx = Ctx::new(&self.pool, self.engine.kernels());
        let (width, normalize) = (self.width(), self.options.normalize && self.pooling != Pooling::Rank);
        let model = self.engine.model();
        let (kv, scratch) = (&mut self.kv, &mut self.scratch);
        let found = model.embed(cx, &self.batch, kv, scratch, self.pooling, cancel.flag())?;
        let mut vector = Vec::new();
        reserve(&mut vector, width, VECTORS)?;
        let mut rows = found.rows();
        for (index, tokens) in (first..).zip(texts) {
            let count = if self.pooling == Pooling::None { tokens.len() } else { 1 };
            for row in rows.by_ref().take(count) {
                vector.clear();
                vector.extend(row.iter().take(width));
                if normalize {
                    normalize_vector(&mut vector);
                }
                visit(index, &vector)?;
            }
        }
        Ok(())
    }

    /// Ranks documents by how well they match a query, best first; of equal scores the earlier document.
    ///
    /// # Errors
    /// As [`Embedder::embed`], and [`EngineError::NotRanking`] if the embedder does not pool by [`Pooling::Rank`].
    pub fn rank(
        &mut self,
        query: &str,
        documents: &[&str],
        cancel: &Cancel,
    ) -> Result<Vec<Rank>, EngineError> {
        if self.pooling != Pooling::Rank {
            return Err(EngineError::NotRanking);
        }
        let tokenizer = self.engine.require_tokenizer()?;
        let template = self.engine.file().rerank_template()?;
        let mut all = Vec::new();
        reserve(&mut all, documents.len(), TOKENS)?;
        for (index, document) in documents.iter().enumerate() {
            let mut tokens = pair(tokenizer, template, query, document, &|| cancel.is_cancelled())?;
            self.fit(index, &mut tokens, tokenizer)?;
            all.push(tokens);
        }
        let mut ranks: Vec<Rank> = Vec::new();
        reserve(&mut ranks, documents.len(), VECTORS)?;
        let lists = slices(&all)?;
        self.embed_tokens(&lists, cancel, &mut |index, scores| {
            ranks.push(Rank { index, score: scores.first().copied().unwrap_or(0.0) });
            Ok(())
        })?;
        ranks.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.index.cmp(&b.index)));
        Ok(ranks)
    }

    /// Makes a text fit the context; returns how many tokens were left out.
    fn fit(
        &self,
        index: usize,
        tokens: &mut Vec<TokenId>,
        tokenizer: &Tokenizer,
    ) -> Result<usize, EngineError> {
        let (all, most) = (tokens.len(), self.most_tokens());
        if all > most && self.options.too_long == TooLong::Truncate {
            let last = tokens.last().copied().filter(|id| tokenizer.is_control(*id));
            tokens.truncate(most);
            if let (Some(end), Some(last)) = (tokens.last_mut(), last) {
                *end = last;
            }
        }
        self.check(index, tokens.len())?;
        Ok(all - tokens.len())
    }

    /// Returns the maximum number of tokens of a text.
    pub fn most_tokens(&self) -> usize {
        let (plan, spec) = (self.engine.plan(), self.engine.model().spec());
        let most = plan.context.min(plan.batch);
        if spec.learned_positions { most.min(spec.n_ctx_train as usize) } else { most }
    }

    fn check(&self, index: usize, tokens: usize) -> Result<(), EngineError> {
        let most = self.most_tokens();
        match tokens {
            0 => Err(EngineError::EmptyText { index }),
            tokens if tokens > most => Err(EngineError::TextTooLong { index, tokens, most }),
            _ => Ok(()),
        }
    }
}

const TOKENS: &str = "tokens of the texts";
const VECTORS: &str = "vectors of the texts";

fn slices(all: &[Vec<TokenId>]) -> Result<Vec<&[TokenId]>, EngineError> {
    let mut lists = Vec::new();
    reserve(&mut lists, all.len(), TOKENS)?;
    lists.extend(all.iter().map(Vec::as_slice));
    Ok(lists)
}

/// Divides by the length: squares are summed in f64 in ascending order, each quotient is rounded once. Zeros stay zeros.
fn normalize_vector(vector: &mut [f32]) {
    let sum: f64 = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
    if sum > 0.0 {
        let length = sum.sqrt();
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
}

/// The tokens of a query with a document.
fn pair(
    tokenizer: &Tokenizer,
    template: Option<&str>,
    query: &str,
    document: &str,
    cancelled: &dyn Fn() -> bool,
) -> Result<Vec<TokenId>, EngineError> {
    if let Some(template) = template {
        let (text, plain) = fill(template, query, document)?;
        let options = EncodeOptions { add_special: false, parse_special: true };
        return Ok(tokenizer.encode_marked(&text, &plain, options, cancelled)?);
    }
    let plain = EncodeOptions { add_special: false, parse_special: false };
    let special = tokenizer.special_ids();
    let bos = special.bos.filter(|_| tokenizer.adds_bos());
    let end = special.eos.or(special.sep).filter(|_| tokenizer.adds_eos());
    let sep = special.sep.filter(|_| tokenizer.adds_sep());
    let query = tokenizer.encode_with(query, plain, cancelled)?;
    let document = tokenizer.encode_with(document, plain, cancelled)?;
    let mut tokens = Vec::new();
    reserve(&mut tokens, query.len().saturating_add(document.len()).saturating_add(4), TOKENS)?;
    tokens.extend(bos.into_iter().chain(query).chain(end).chain(sep).chain(document).chain(end));
    Ok(tokens)
}

/// The template's text, and the ranges of it that the query and the document took: special tokens are not found in them.
fn fill(template: &str, query: &str, document: &str) -> Result<(String, Vec<Range<usize>>), EngineError> {
    let places = [("{query}", query), ("{document}", document)];
    let (mut text, mut plain, mut rest) = (String::new(), Vec::new(), template);
    loop {
        let next = places.iter().filter_map(|(name, value)| Some((rest.find(name)?, *name, *value))).min();
        let (at, name, value) = next.unwrap_or((rest.len(), "", ""));
        let (before, after) = rest.split_at(at);
        crate::reserve::reserve_text(&mut text, before.len().saturating_add(value.len()), TOKENS)?;
        text.push_str(before);
        if name.is_empty() {
            return Ok((text, plain));
        }
        reserve(&mut plain, 1, TOKENS)?;
        plain.push(text.len()..text.len() + value.len());
        text.push_str(value);
        rest = after.get(name.len()..).unwrap_or("");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_once() {
        let (text, plain) = fill("<q>{query}</q>{document}{query}.", "{document}", "d").unwrap();
        assert_eq!(text, "<q>{document}</q>d{document}.");
        let parts: Vec<&str> = plain.into_iter().map(|range| &text[range]).collect();
        assert_eq!(parts, ["{document}", "d", "{document}"]);
    }

    #[test]
    fn vectors_get_length_one_and_zeros_stay() {
        let mut vector = [3.0, 0.0, -4.0];
        normalize_vector(&mut vector);
        assert_eq!(vector, [0.6, 0.0, -0.8]);
        let mut zeros = [0.0; 3];
        normalize_vector(&mut zeros);
        assert_eq!(zeros, [0.0; 3]);
    }
}
