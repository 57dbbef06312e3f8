package dev.happyllm;

import java.util.Locale;

/** How texts become vectors. What is not set takes the library's default. */
public final class HappyEmbedOptions {
    /** How the hidden states of a text's tokens become one vector. Made from the C header by {@code cargo xtask options}. */
    public enum Pooling {
        // <HappyPooling values>
        /** As the model's file says. */
        MODEL,
        /** No pooling: a vector for each token. */
        NONE,
        /** The mean of all hidden states. */
        MEAN,
        /** The hidden state of the first token. */
        CLS,
        /** The hidden state of the last token. */
        LAST,
        /** The scores of the model's classifier: one for each label, and usually only one. */
        RANK,
        // </HappyPooling values>
    }

    private final Json json = new Json();

    // <HappyEmbedOptions setters>
    /**
     * How the hidden states of a text become one vector, a {@link Pooling}. Default: as the model's file says; a file that
     * does not say it is an error.
     */
    public HappyEmbedOptions pooling(Pooling value) {
        json.put("pooling", value.name().toLowerCase(Locale.ROOT));
        return this;
    }

    /**
     * Number of values at the beginning of each vector to keep, for models that were trained for it (Matryoshka). 0, the
     * default: all.
     */
    public HappyEmbedOptions dimensions(int value) {
        json.put("dimensions", value);
        return this;
    }

    /**
     * True: leave vectors as the model gives them. False, the default: divide them by their length, so that their dot
     * product is their cosine. Ranks are never divided.
     */
    public HappyEmbedOptions unnormalized(boolean value) {
        json.put("unnormalized", value);
        return this;
    }

    /**
     * True: shorten texts of more tokens than the context; the special token at the end stays there. False, the default:
     * such texts give {@link HappyStatus#CONTEXT_FULL}.
     */
    public HappyEmbedOptions truncate(boolean value) {
        json.put("truncate", value);
        return this;
    }
    // </HappyEmbedOptions setters>

    byte[] utf8() {
        return json.utf8();
    }
}
