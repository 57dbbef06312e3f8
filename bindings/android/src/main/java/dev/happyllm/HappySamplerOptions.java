package dev.happyllm;

import java.util.LinkedHashMap;
import java.util.Map;

/** How to choose tokens; names, defaults and order are llama.cpp's. What is not set takes the library's default. */
public final class HappySamplerOptions {
    /** A seed that is another one each turn. */
    public static final long SEED_RANDOM = -1;

    private final Json json = new Json();
    private final Map<Integer, Float> biases = new LinkedHashMap<>();

    /** Keep the best tokens; 0: all. */
    public HappySamplerOptions topK(int value) {
        json.put("top_k", value);
        return this;
    }

    /** Seed of the random choice; every turn starts from it. {@link #SEED_RANDOM}: another one each turn. */
    public HappySamplerOptions seed(long seed) {
        json.put("seed", seed);
        return this;
    }

    /** 0 always takes the best token. */
    public HappySamplerOptions temperature(float value) {
        json.put("temperature", value);
        return this;
    }

    /** Keep the best tokens that have this probability together; 1: all. */
    public HappySamplerOptions topP(float value) {
        json.put("top_p", value);
        return this;
    }

    /** Keep tokens with at least this share of the best one's probability; 0: all. */
    public HappySamplerOptions minP(float value) {
        json.put("min_p", value);
        return this;
    }

    /** Keep the tokens whose surprise is most typical; 1: all. */
    public HappySamplerOptions typical(float value) {
        json.put("typical", value);
        return this;
    }

    /** Keep logits at most so many standard deviations below the best; 0: all. */
    public HappySamplerOptions topNSigma(float value) {
        json.put("top_n_sigma", value);
        return this;
    }

    /** Chance that the top choices are excluded; 0: off. */
    public HappySamplerOptions xtcProbability(float value) {
        json.put("xtc_probability", value);
        return this;
    }

    /** What a top choice has at least. */
    public HappySamplerOptions xtcThreshold(float value) {
        json.put("xtc_threshold", value);
        return this;
    }

    /** Let the temperature follow the entropy, by so much; 0: off. */
    public HappySamplerOptions dynatempRange(float value) {
        json.put("dynatemp_range", value);
        return this;
    }

    /** Exponent of the dynamic temperature. */
    public HappySamplerOptions dynatempExponent(float value) {
        json.put("dynatemp_exponent", value);
        return this;
    }

    /** Divide the logits of recent tokens by this; 1: off. */
    public HappySamplerOptions repeatPenalty(float value) {
        json.put("repeat_penalty", value);
        return this;
    }

    /** Subtract this for each recent occurrence of the token; 0: off. */
    public HappySamplerOptions frequencyPenalty(float value) {
        json.put("frequency_penalty", value);
        return this;
    }

    /** Subtract this from the logits of recent tokens; 0: off. */
    public HappySamplerOptions presencePenalty(float value) {
        json.put("presence_penalty", value);
        return this;
    }

    /** Penalty of what would continue a repetition (DRY); 0: off. */
    public HappySamplerOptions dryMultiplier(float value) {
        json.put("dry_multiplier", value);
        return this;
    }

    /** Growth of that penalty with each token that the repetition is longer. */
    public HappySamplerOptions dryBase(float value) {
        json.put("dry_base", value);
        return this;
    }

    /** Mirostat's target entropy. */
    public HappySamplerOptions mirostatTau(float value) {
        json.put("mirostat_tau", value);
        return this;
    }

    /** Mirostat's learning rate. */
    public HappySamplerOptions mirostatEta(float value) {
        json.put("mirostat_eta", value);
        return this;
    }

    /** Prefer tokens near this probability; below 0: off. */
    public HappySamplerOptions adaptiveTarget(float value) {
        json.put("adaptive_target", value);
        return this;
    }

    /** How long that remembers. */
    public HappySamplerOptions adaptiveDecay(float value) {
        json.put("adaptive_decay", value);
        return this;
    }

    /** Tokens that the penalties look back. */
    public HappySamplerOptions penaltyLastN(int value) {
        json.put("penalty_last_n", value);
        return this;
    }

    /** Longest repetition without DRY's penalty. */
    public HappySamplerOptions dryAllowedLength(int value) {
        json.put("dry_allowed_length", value);
        return this;
    }

    /** Tokens in which DRY looks for repetitions. */
    public HappySamplerOptions dryLastN(int value) {
        json.put("dry_last_n", value);
        return this;
    }

    /** Tokens that top-p, min-p, typical and XTC keep at least. */
    public HappySamplerOptions minKeep(int value) {
        json.put("min_keep", value);
        return this;
    }

    /** 0, or Mirostat 1 or 2 instead of all of these but temperature and logit bias. */
    public HappySamplerOptions mirostat(int value) {
        json.put("mirostat", value);
        return this;
    }

    /**
     * The samplers and their order, separated by {@code ;}: penalties, dry, top_n_sigma, top_k, typ_p, top_p, min_p, xtc,
     * temperature, infill, adaptive_p. Unless it is set: these without the last two.
     */
    public HappySamplerOptions order(String names) {
        json.put("order", Text.text("order", names));
        return this;
    }

    /** Texts that end a repetition for DRY. Unless they are set: line end, {@code :}, {@code "} and {@code *}. */
    public HappySamplerOptions dryBreakers(String... texts) {
        json.put("dry_breakers", Text.texts("dryBreakers", texts));
        return this;
    }

    /** Adds to the logit of a token; minus infinity forbids it. */
    public HappySamplerOptions bias(int token, float bias) {
        biases.put(token, bias);
        json.put("logit_bias", biases);
        return this;
    }

    Json json() {
        return json;
    }
}
