package dev.happyllm;

import java.util.LinkedHashMap;
import java.util.Map;

/** How to choose tokens; names, defaults and order are llama.cpp's. What is not set takes the library's default. */
public final class HappySamplerOptions {
    /** A seed that is another one each turn. */
    public static final long SEED_RANDOM = -1;

    private final Json json = new Json();
    private final Map<Integer, Float> biases = new LinkedHashMap<>();

    // <HappySamplerOptions setters>
    /** Keep this many of the most probable tokens. 0 keeps all. Default: 40. */
    public HappySamplerOptions topK(int value) {
        json.put("top_k", value);
        return this;
    }

    /**
     * Seed of the random choice; every turn starts from it. {@link #SEED_RANDOM}, the default: another one each turn.
     */
    public HappySamplerOptions seed(long value) {
        json.put("seed", value);
        return this;
    }

    /** Divide the logits by this. At least 0; 0 always takes the best token, 1 changes nothing. Default: 0.8. */
    public HappySamplerOptions temperature(float value) {
        json.put("temperature", value);
        return this;
    }

    /**
     * Keep the most probable tokens until their probabilities add up to this. From 0 to 1; 1 keeps all. Default: 0.95.
     */
    public HappySamplerOptions topP(float value) {
        json.put("top_p", value);
        return this;
    }

    /**
     * Keep tokens whose probability is at least this share of the best one's. From 0 to 1; 0 keeps all. Default: 0.05.
     */
    public HappySamplerOptions minP(float value) {
        json.put("min_p", value);
        return this;
    }

    /**
     * Keep the tokens whose surprise is nearest to the entropy, until their probabilities add up to this. From 0 to 1; 1
     * keeps all. Default: 1.
     */
    public HappySamplerOptions typical(float value) {
        json.put("typical", value);
        return this;
    }

    /**
     * Keep tokens whose logit is at most this many standard deviations below the best one. At least 0; 0 keeps all.
     * Default: 0.
     */
    public HappySamplerOptions topNSigma(float value) {
        json.put("top_n_sigma", value);
        return this;
    }

    /**
     * Probability that all top choices except for the least probable one are excluded (XTC). From 0 to 1; 0 turns XTC off.
     * Default: 0.
     */
    public HappySamplerOptions xtcProbability(float value) {
        json.put("xtc_probability", value);
        return this;
    }

    /**
     * Minimum probability of a top choice. Tokens at or above it are candidates for exclusion; values above 0.5 turn XTC
     * off. From 0 to 1. Default: 0.1.
     */
    public HappySamplerOptions xtcThreshold(float value) {
        json.put("xtc_threshold", value);
        return this;
    }

    /**
     * Let the temperature follow the entropy, between the temperature minus and plus this. At least 0; 0 keeps it fixed.
     * Default: 0.
     */
    public HappySamplerOptions dynatempRange(float value) {
        json.put("dynatemp_range", value);
        return this;
    }

    /** Exponent of the entropy for the dynamic temperature. At least 0. Default: 1. */
    public HappySamplerOptions dynatempExponent(float value) {
        json.put("dynatemp_exponent", value);
        return this;
    }

    /**
     * Divide positive logits of recent tokens by this, and multiply negative ones by it. Above 0; 1 is neutral, and values
     * below 1 favor repetition. Default: 1.
     */
    public HappySamplerOptions repeatPenalty(float value) {
        json.put("repeat_penalty", value);
        return this;
    }

    /**
     * Subtract this from a logit for each recent occurrence of its token. Any finite number; 0 is neutral, and negative
     * values favor repetition. Default: 0.
     */
    public HappySamplerOptions frequencyPenalty(float value) {
        json.put("frequency_penalty", value);
        return this;
    }

    /**
     * Subtract this once from the logits of recent tokens. Any finite number; 0 is neutral, and negative values favor
     * repetition. Default: 0.
     */
    public HappySamplerOptions presencePenalty(float value) {
        json.put("presence_penalty", value);
        return this;
    }

    /**
     * Penalty of a token that would make a repetition one token longer than DRY allows. At least 0; 0 turns DRY off.
     * Default: 0.
     */
    public HappySamplerOptions dryMultiplier(float value) {
        json.put("dry_multiplier", value);
        return this;
    }

    /**
     * Factor by which DRY's penalty grows with each further token of a repetition. At least 0; below 1 turns DRY off.
     * Default: 1.75.
     */
    public HappySamplerOptions dryBase(float value) {
        json.put("dry_base", value);
        return this;
    }

    /** Target surprise of Mirostat in bits (tau). At least 0. Default: 5. */
    public HappySamplerOptions mirostatTau(float value) {
        json.put("mirostat_tau", value);
        return this;
    }

    /** Learning rate of Mirostat (eta). At least 0. Default: 0.1. */
    public HappySamplerOptions mirostatEta(float value) {
        json.put("mirostat_eta", value);
        return this;
    }

    /**
     * Prefer tokens whose probability is near this (adaptive-p). From 0 to 1; below 0 is an ordinary draw. Default: -1.
     */
    public HappySamplerOptions adaptiveTarget(float value) {
        json.put("adaptive_target", value);
        return this;
    }

    /**
     * Weight of the past in adaptive-p's average of its choices: 0.9 averages over about 10 tokens, 0.99 over about 100.
     * From 0 to 0.99. Default: 0.9.
     */
    public HappySamplerOptions adaptiveDecay(float value) {
        json.put("adaptive_decay", value);
        return this;
    }

    /** Number of recent tokens that the penalties look at. At most 1,048,576; 0 turns them off. Default: 64. */
    public HappySamplerOptions penaltyLastN(int value) {
        json.put("penalty_last_n", value);
        return this;
    }

    /**
     * Length in tokens of the longest repetition that DRY allows: it penalizes tokens that would make one longer. 0
     * penalizes every recent token. Default: 2.
     */
    public HappySamplerOptions dryAllowedLength(int value) {
        json.put("dry_allowed_length", value);
        return this;
    }

    /** Number of recent tokens in which DRY looks for repetitions. At most 1,048,576; 0 turns DRY off. Default: 64. */
    public HappySamplerOptions dryLastN(int value) {
        json.put("dry_last_n", value);
        return this;
    }

    /** Minimum number of tokens that top-p, min-p, typical and XTC keep. Default: 0, which is like 1. */
    public HappySamplerOptions minKeep(int value) {
        json.put("min_keep", value);
        return this;
    }

    /**
     * Version of Mirostat, which replaces all steps but temperature and logit bias: 1 or 2. 0 turns it off. Default: 0.
     */
    public HappySamplerOptions mirostat(int value) {
        json.put("mirostat", value);
        return this;
    }

    /**
     * The samplers and their order, separated by {@code ;}: penalties, dry, top_n_sigma, top_k, typ_p, top_p, min_p, xtc,
     * temperature, infill, adaptive_p. Empty: these without the last two.
     */
    public HappySamplerOptions order(String value) {
        json.put("order", Text.text("order", value));
        return this;
    }

    /** Texts that end a repetition for DRY. Not set: line end, {@code :}, {@code "} and {@code *}. */
    public HappySamplerOptions dryBreakers(String... values) {
        json.put("dry_breakers", Text.texts("dryBreakers", values));
        return this;
    }

    /** Numbers to add to the logits of tokens: finite, or minus infinity, which forbids a token. Not set: none. */
    public HappySamplerOptions bias(int token, float value) {
        biases.put(token, value);
        json.put("logit_bias", biases);
        return this;
    }
    // </HappySamplerOptions setters>

    Json json() {
        return json;
    }
}
