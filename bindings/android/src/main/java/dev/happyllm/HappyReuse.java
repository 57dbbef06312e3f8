package dev.happyllm;

/** What the turns of a session did not have to compute. */
public final class HappyReuse {
    private final long[] fields;

    /** In the order of {@code reuse} in the native library's {@code jni/numbers.rs}. */
    HappyReuse(long[] fields) {
        this.fields = fields;
    }

    /** Sequences that are kept beside the conversation's own: see {@link HappyLoadOptions#branches}. */
    public long branches() {
        return fields[0];
    }

    /** Prompts so far. */
    public long prompts() {
        return fields[1];
    }

    /** Tokens of those prompts. */
    public long promptTokens() {
        return fields[2];
    }

    /** Tokens among them that were there already. */
    public long reusedTokens() {
        return fields[3];
    }

    /** Branches that were given up, for want of memory or of branches. */
    public long evictedBranches() {
        return fields[4];
    }

    /** Messages that the last turn's prompt left out, as {@link HappySessionOptions#contextPolicy} says. */
    public long droppedMessages() {
        return fields[5];
    }

    /** Tokens that were guessed and computed ahead: see {@link HappyLoadOptions#draftTokens}. */
    public long guessedTokens() {
        return fields[6];
    }

    /** Those of them that turned out right: each spared a pass. */
    public long acceptedTokens() {
        return fields[7];
    }
}
