package dev.happyllm;

import java.nio.ByteBuffer;
import java.util.Locale;

/** Why a turn ended, and what it took. */
public final class HappyFinish {
    /** Why a turn ended. Made from the C header by {@code cargo xtask options}. */
    public enum Reason {
        // <HappyFinish values>
        /** The model ended its answer. */
        END,
        /** A stop string was reached. */
        STOP_STRING,
        /** The limit of tokens was reached. */
        LENGTH,
        /** The context is full. */
        CONTEXT_FULL,
        /** The text is complete: the grammar allows nothing more. */
        GRAMMAR_END,
        /** The cancel token was raised, the callback said stop, the turn was stopped, or the session was freed. */
        CANCELLED,
        /**
         * The text ended before the grammar, the JSON schema or a call that had begun was complete: the limit of tokens, a
         * full context, or no token that continues it.
         */
        UNFINISHED,
        // </HappyFinish values>
    }

    private static final Reason[] REASONS = Reason.values();

    private final Reason reason;
    private final long promptTokens;
    private final long reusedTokens;
    private final long generatedTokens;
    private final double prefillSeconds;
    private final double decodeSeconds;
    private final double prefillRate;
    private final double decodeRate;

    HappyFinish(ByteBuffer in) {
        reason = REASONS[in.getInt()];
        promptTokens = in.getLong();
        reusedTokens = in.getLong();
        generatedTokens = in.getLong();
        prefillSeconds = in.getDouble();
        decodeSeconds = in.getDouble();
        prefillRate = in.getDouble();
        decodeRate = in.getDouble();
    }

    /** Why the turn ended. */
    public Reason reason() {
        return reason;
    }

    /** Tokens of the prompt that were computed. */
    public long promptTokens() {
        return promptTokens;
    }

    /** Tokens of the prompt that the KV cache held already. */
    public long reusedTokens() {
        return reusedTokens;
    }

    /** Generated tokens, including a token that ended the answer. */
    public long generatedTokens() {
        return generatedTokens;
    }

    /** Seconds for the prompt. */
    public double prefillSeconds() {
        return prefillSeconds;
    }

    /** Seconds for the generated tokens after the first. */
    public double decodeSeconds() {
        return decodeSeconds;
    }

    /** Computed prompt tokens per second. */
    public double prefillRate() {
        return prefillRate;
    }

    /** Generated tokens after the first, per second. */
    public double decodeRate() {
        return decodeRate;
    }

    @Override
    public String toString() {
        String form = "%s: %d + %d prompt tokens, %d generated, %.1f tok/s";
        return String.format(
                Locale.ROOT, form, reason, reusedTokens, promptTokens, generatedTokens, decodeRate);
    }
}
