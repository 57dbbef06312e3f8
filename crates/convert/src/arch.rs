//! The architectures: their names, how their configuration becomes metadata, and how their tensors are changed.

use crate::error::{ConvertError, printable};
use crate::json::Object;
use crate::pairs::Pairs;

/// An architecture.
pub(crate) struct Architecture {
    /// `general.architecture`.
    pub(crate) name: &'static str,
    /// The names in `architectures` of `config.json`.
    pub(crate) from: &'static [&'static str],
    /// Whether the two halves of the rows of each head of Q and K are interleaved: row `2 i + s` of a head comes from row
    /// `s d/2 + i`. llama's rotation in GGUF files rotates neighboring rows.
    pub(crate) interleaved: bool,
    /// Whether 1 is added to the weights of norms. (The original Gemma adds it at run time.)
    pub(crate) norm_plus_one: bool,
    /// Whether the results are vectors of texts, which need more exact matrices than logits do.
    pub(crate) is_encoder: bool,
    /// Adds the metadata from the configuration.
    pub(crate) pairs: fn(&Object, &mut Pairs) -> Result<(), ConvertError>,
}

const fn plain(
    name: &'static str,
    from: &'static [&'static str],
    pairs: fn(&Object, &mut Pairs) -> Result<(), ConvertError>,
) -> Architecture {
    Architecture { name, from, interleaved: false, norm_plus_one: false, is_encoder: false, pairs }
}

pub(crate) static ARCHITECTURES: &[Architecture] = &[
    Architecture { is_encoder: true, ..plain("bert", &["BertModel", "BertForMaskedLM"], bert) },
    Architecture { is_encoder: true, ..plain("nomic-bert", &["NomicBertModel"], nomic_bert) },
    Architecture {
        interleaved: true,
        ..plain("llama", &["LlamaForCausalLM", "LlamaModel", "MistralForCausalLM"], llama)
    },
    plain("qwen2", &["Qwen2ForCausalLM", "Qwen2Model"], qwen),
    plain("qwen3", &["Qwen3ForCausalLM", "Qwen3Model"], qwen),
    Architecture {
        norm_plus_one: true,
        ..plain("gemma3", &["Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"], gemma3)
    },
];

/// Returns the architecture of a configuration.
pub(crate) fn architecture(config: &Object) -> Result<&'static Architecture, ConvertError> {
    let names = config.get("architectures").and_then(|v| v.as_array());
    let Some(name) = names.and_then(|names| names.first()?.as_str()) else {
        return Err(config.wrong("architectures", "a list with a name"));
    };
    ARCHITECTURES.iter().find(|arch| arch.from.contains(&name)).ok_or_else(|| {
        let known: Vec<&str> = ARCHITECTURES.iter().flat_map(|arch| arch.from).copied().collect();
        ConvertError::unsupported(format!(
            "architecture `{}` is not converted, expected one of {}",
            printable(name),
            known.join(", ")
        ))
    })
}

/// Reads the number of layers.
pub(crate) fn n_layers(config: &Object) -> Result<u32, ConvertError> {
    /// More than any model has, but few enough to make all names.
    const MOST: u32 = 4096;
    let n = config.require_u32(&["num_hidden_layers", "n_layer"])?;
    if n > MOST {
        return Err(config.wrong("num_hidden_layers", &format!("at most {MOST} layers")));
    }
    Ok(n)
}

/// Reads the number of query heads, and of key and value heads.
pub(crate) fn heads(config: &Object) -> Result<(u32, u32), ConvertError> {
    let n = config.require_u32(&["num_attention_heads", "n_head"])?;
    let n_kv = config.u32("num_key_value_heads")?.unwrap_or(n);
    match (n, n_kv) {
        (0, _) => Err(config.wrong("num_attention_heads", "at least 1")),
        (_, 0) => Err(config.wrong("num_key_value_heads", "at least 1")),
        both => Ok(both),
    }
}

/// Adds the sizes that all architectures have.
fn sizes(config: &Object, pairs: &mut Pairs) -> Result<(), ConvertError> {
    let mut size = |key: &str, keys: &[&str]| {
        let value = config.require_u32(keys)?;
        pairs.arch(key, value);
        Ok::<_, ConvertError>(())
    };
    size("block_count", &["num_hidden_layers", "n_layer"])?;
    size("context_length", &["max_position_embeddings", "n_positions"])?;
    size("embedding_length", &["hidden_size", "n_embd"])?;
    size("feed_forward_length", &["intermediate_size", "n_inner"])?;
    size("attention.head_count", &["num_attention_heads", "n_head"])
}

/// Refuses a setting whose value is not the only one that is converted. A missing key has that value.
fn only(config: &Object, key: &str, value: impl Into<serde_json::Value>) -> Result<(), ConvertError> {
    let value = value.into();
    match config.get(key) {
        Some(found) if *found != value => {
            let found = printable(&found.to_string());
            Err(ConvertError::unsupported(format!(
                "`{}`: key `{key}`: {found} is not converted, expected {value}",
                crate::error::shown(&config.path)
            )))
        }
        _ => Ok(()),
    }
}

fn encoder(config: &Object, pairs: &mut Pairs) -> Result<(), ConvertError> {
    sizes(config, pairs)?;
    let epsilon = config.require_f32(&["layer_norm_eps", "layer_norm_epsilon"])?;
    pairs.arch("attention.layer_norm_epsilon", epsilon);
    pairs.arch("attention.causal", false);
    pairs.add("tokenizer.ggml.token_type_count", config.u32("type_vocab_size")?.unwrap_or(1));
    Ok(())
}

fn bert(config: &Object, pairs: &mut Pairs) -> Result<(), ConvertError> {
    only(config, "hidden_act", "gelu")?;
    only(config, "position_embedding_type", "absolute")?;
    only(config, "is_decoder", false)?;
    encoder(config, pairs)
}

fn nomic_bert(config: &Object, pairs: &mut Pairs) -> Result<(), ConvertError> {
    only(config, "activation_function", "swiglu")?;
    only(config, "prenorm", false)?;
    only(config, "causal", false)?;
    only(config, "rotary_emb_fraction", 1.0)?;
    only(config, "rotary_emb_interleaved", false)?;
    for key in ["qkv_proj_bias", "mlp_fc1_bias", "mlp_fc2_bias"] {
        only(config, key, false)?;
    }
    encoder(config, pairs)?;
    // The model was trained with 2,048 positions, whatever the extended length is.
    if let Some(trained) = config.u32("max_trained_positions")? {
        pairs.arch("context_length", trained.min(config.require_u32(&["n_positions"])?));
    }
    pairs.arch("rope.freq_base", config.require_f32(&["rotary_emb_base"])?);
    Ok(())
}

/// Adds the metadata of llama-like decoders.
fn decoder(config: &Object, pairs: &mut Pairs) -> Result<(), ConvertError> {
    sizes(config, pairs)?;
    pairs.arch("attention.head_count_kv", heads(config)?.1);
    pairs.arch("attention.layer_norm_rms_epsilon", config.require_f32(&["rms_norm_eps"])?);
    if let Some(head) = config.u32("head_dim")? {
        pairs.arch("attention.key_length", head);
        pairs.arch("attention.value_length", head);
    }
    rope(config, pairs)
}

fn llama(config: &Object, pairs: &mut Pairs) -> Result<(), ConvertError> {
    only(config, "hidden_act", "silu")?;
    decoder(config, pairs)?;
    pairs.arch("rope.dimension_count", head_dim(config)?);
    if config
        .u32("sliding_window")?
        .is_some_and(|w| Some(w) < config.u32("max_position_embeddings").ok().flatten())
    {
        pairs.warn("the attention window (`sliding_window`) is left out: llama files have none");
    }
    Ok(())
}

fn qwen(config: &Object, pairs: &mut Pairs) -> Result<(), ConvertError> {
    only(config, "hidden_act", "silu")?;
    only(config, "use_sliding_window", false)?;
    decoder(config, pairs)
}

fn gemma3(config: &Object, pairs: &mut Pairs) -> Result<(), ConvertError> {
    only(config, "hidden_activation", "gelu_pytorch_tanh")?;
    only(config, "use_bidirectional_attention", false)?;
    if config.get("attn_logit_softcapping").is_some() {
        only(config, "attn_logit_softcapping", serde_json::Value::Null)?;
    }
    // Files leave out values that are defaults of the first Gemma 3.
    let or = |key: &str, value: u32| Ok::<_, ConvertError>(config.u32(key)?.unwrap_or(value));
    let (n_heads, n_kv) = (or("num_attention_heads", 8)?, or("num_key_value_heads", 4)?);
    let head = or("head_dim", 256)?;
    pairs.arch("block_count", config.require_u32(&["num_hidden_layers"])?);
    pairs.arch("context_length", or("max_position_embeddings", 131_072)?);
    pairs.arch("embedding_length", config.require_u32(&["hidden_size"])?);
    pairs.arch("feed_forward_length", config.require_u32(&["intermediate_size"])?);
    pairs.arch("attention.head_count", n_heads);
    pairs.arch("attention.head_count_kv", n_kv);
    pairs.arch("attention.layer_norm_rms_epsilon", config.f32("rms_norm_eps")?.unwrap_or(1e-6));
    pairs.arch("attention.key_length", head);
    pairs.arch("attention.value_length", head);
    if let Some(cap) = config.f32("final_logit_softcapping")? {
        pairs.arch("final_logit_softcapping", cap);
    }
    check_pattern(config)?;
    pairs.arch("attention.sliding_window", config.require_u32(&["sliding_window"])?);
    pairs.arch("rope.freq_base", 1_000_000f32);
    if let Some(local) = config.f32("rope_local_base_freq")? {
        pairs.arch("rope.freq_base_swa", local);
    }
    rope(config, pairs)
}

/// Checks that five of six layers have a window. GGUF files of Gemma 3 cannot say anything else.
fn check_pattern(config: &Object) -> Result<(), ConvertError> {
    only(config, "sliding_window_pattern", 6)?;
    let Some(kinds) = config.get("layer_types").and_then(|v| v.as_array()) else { return Ok(()) };
    let expected = |i: usize| if i % 6 == 5 { "full_attention" } else { "sliding_attention" };
    if kinds.iter().enumerate().any(|(i, kind)| kind.as_str() != Some(expected(i))) {
        return Err(config.wrong("layer_types", "five layers with a window to one without"));
    }
    Ok(())
}

/// Reads the width of a head.
fn head_dim(config: &Object) -> Result<u32, ConvertError> {
    match config.u32("head_dim")? {
        Some(head) => Ok(head),
        None => Ok(config.require_u32(&["hidden_size"])? / heads(config)?.0),
    }
}

/// Adds the base and the scaling of the rotation, in the old form or in that of transformers 5.
fn rope(config: &Object, pairs: &mut Pairs) -> Result<(), ConvertError> {
    let Some(all) = config.object("rope_parameters").or_else(|| config.object("rope_scaling")) else {
        if let Some(theta) = config.f32("rope_theta")? {
            pairs.arch("rope.freq_base", theta);
        }
        return Ok(());
    };
    if let Some(theta) = all.object("sliding_attention").and_then(|o| o.f32("rope_theta").transpose()) {
        pairs.arch("rope.freq_base_swa", theta?);
    }
    let rope = all.object("full_attention").unwrap_or(all);
    if let Some(theta) = rope.f32("rope_theta")?.map_or_else(|| config.f32("rope_theta"), |t| Ok(Some(t)))? {
        pairs.arch("rope.freq_base", theta);
    }
    let kind = if rope.get("rope_type").is_some() { rope.str("rope_type")? } else { rope.str("type")? };
    match kind {
        None | Some("default") => {}
        Some(kind @ ("linear" | "yarn")) => {
            pairs.arch("rope.scaling.type", kind);
            pairs.arch("rope.scaling.factor", rope.require_f32(&["factor"])?);
            if kind == "yarn" {
                let original = rope.require_u32(&["original_max_position_embeddings"])?;
                pairs.arch("rope.scaling.original_context_length", original);
            }
        }
        Some("llama3") => {
            let theta = rope.f32("rope_theta")?.or(config.f32("rope_theta")?).unwrap_or(10_000.0);
            pairs.rope_factors = Some(llama3_factors(&rope, theta, head_dim(config)?)?);
        }
        Some(_) => return Err(rope.wrong("rope_type", "default, linear, yarn or llama3")),
    }
    Ok(())
}

/// Returns the divisor of each frequency: 1 for short wavelengths, `factor` for long ones, and interpolated values between.
fn llama3_factors(rope: &Object, theta: f32, head: u32) -> Result<Vec<f32>, ConvertError> {
    /// Much more than the width of any head.
    const WIDEST: u32 = 1 << 16;
    if head > WIDEST {
        return Err(rope.wrong("head_dim", &format!("at most {WIDEST}")));
    }
    let or = |key: &str, value: f32| Ok::<_, ConvertError>(f64::from(rope.f32(key)?.unwrap_or(value)));
    let (factor, low) = (or("factor", 8.0)?, or("low_freq_factor", 1.0)?);
    let (high, original) = (or("high_freq_factor", 4.0)?, or("original_max_position_embeddings", 8192.0)?);
    let factor_of = |i: u32| {
        let frequency = libm::pow(f64::from(theta), -f64::from(2 * i) / f64::from(head));
        let wave = 2.0 * std::f64::consts::PI / frequency;
        let factor = if wave < original / high {
            1.0
        } else if wave > original / low {
            factor
        } else {
            let smooth = (original / wave - low) / (high - low);
            1.0 / ((1.0 - smooth) / factor + smooth)
        };
        factor as f32
    };
    Ok((0..head / 2).map(factor_of).collect())
}
