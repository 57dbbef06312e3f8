package dev.happyllm;

import java.util.Locale;

/** What the turns of a session did not have to compute. */
public final class HappyReuse {
    private final long[] fields;

    /** In the order of {@code reuse} in the native library's {@code jni/numbers.rs}. */
    HappyReuse(long[] fields) {
        this.fields = fields;
    }

    /**
     * Number of sequences that are kept in addition to the conversation's own: see {@link HappyLoadOptions#branches}.
     */
    public long branches() {
        return fields[0];
    }

    /** Number of prompts so far. */
    public long prompts() {
        return fields[1];
    }

    /** Number of tokens of those prompts. */
    public long promptTokens() {
        return fields[2];
    }

    /** Number of those tokens that the KV cache already held. */
    public long reusedTokens() {
        return fields[3];
    }

    /** Number of branches that were dropped because memory or branches ran out. */
    public long evictedBranches() {
        return fields[4];
    }

    /** Number of messages that the last turn's prompt left out, as {@link HappySessionOptions#contextPolicy} says. */
    public long droppedMessages() {
        return fields[5];
    }

    /** Number of tokens that were guessed and computed ahead: see {@link HappyLoadOptions#draftTokens}. */
    public long guessedTokens() {
        return fields[6];
    }

    /** Number of guesses that turned out right. Each saved a pass. */
    public long acceptedTokens() {
        return fields[7];
    }

    /**
     * Number of tokens that the last turn dropped from the context when it was full, with the policy {@code shift} of
     * {@link HappySessionOptions#contextPolicy}.
     */
    public long shiftedTokens() {
        return fields[8];
    }

    @Override
    public String toString() {
        String form = "%d of %d tokens of %d prompts reused, %d of %d guesses right";
        return String.format(
                Locale.ROOT, form, reusedTokens(), promptTokens(), prompts(), acceptedTokens(), guessedTokens());
    }
}
