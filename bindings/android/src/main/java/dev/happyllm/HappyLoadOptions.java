package dev.happyllm;

import java.util.Locale;

/** How to load a model. What is not set takes the library's default. */
public final class HappyLoadOptions {
    /** Element types of the KV cache. */
    public enum KvType {
        /** 16-bit floats. */
        F16,
        /** 32-bit floats: twice the memory. */
        F32,
        /**
         * 8-bit integers with a scale for every 32: little more than half the memory. For models whose heads are multiples of
         * 32 wide, without latent attention; others are refused.
         */
        Q8_0
    }

    private final Json json = new Json();
    private HappyCancel cancel;
    private HappyProgress progress;

    // <HappyLoadOptions setters>
    /**
     * Number of threads, including the caller's, at most 256. 0, the default: all big cores but one, or all cores if they
     * are equal.
     */
    public HappyLoadOptions threads(int value) {
        json.put("threads", value);
        return this;
    }

    /**
     * Size of a session's context in tokens. 0, the default: what the model was trained for, but at most 4,096 and what
     * fits the budget.
     */
    public HappyLoadOptions context(int value) {
        json.put("context", value);
        return this;
    }

    /** Maximum number of prompt tokens in one pass. Results do not depend on it. 0 and the default: 256. */
    public HappyLoadOptions batch(int value) {
        json.put("batch", value);
        return this;
    }

    /**
     * Maximum bytes of anonymous memory for the model and one session. 0, the default: what the machine has free, or less
     * if the limits of the process are lower.
     */
    public HappyLoadOptions memoryBudget(long value) {
        json.put("memory_budget", value);
        return this;
    }

    /**
     * Instruction set, such as {@code scalar}, {@code avx2} or {@code dotprod}; {@link Happy#cpu} lists those of this
     * machine, and another one gives {@link HappyStatus#UNSUPPORTED}. Empty, the default: the best that the machine has.
     */
    public HappyLoadOptions isa(String value) {
        json.put("isa", Text.text("isa", value));
        return this;
    }

    /** Element type of the KV cache, a {@link KvType}. Default: {@link KvType#F16}. */
    public HappyLoadOptions kvType(KvType value) {
        json.put("kv_type", value.name().toLowerCase(Locale.ROOT));
        return this;
    }

    /**
     * False, the default: map the file, which no program may write to or truncate while the model is loaded. True: read it
     * into anonymous memory.
     */
    public HappyLoadOptions copy(boolean value) {
        json.put("copy", value);
        return this;
    }

    /**
     * Adapters (LoRA) with which sessions begin, in the order in which their results are added. Each is the path of a
     * file, or {@code FILE=SCALE}; the scale is 1 if none is given. Not set: no adapters.
     */
    public HappyLoadOptions adapters(String... values) {
        json.put("adapters", Text.texts("adapters", values));
        return this;
    }

    /**
     * Maximum rank of adapters to plan for: the sum of the ranks of all adapters that a session uses at once. 0, the
     * default: that of {@code adapters}.
     */
    public HappyLoadOptions adapterRank(int value) {
        json.put("adapter_rank", value);
        return this;
    }

    /**
     * True: load for embedders instead of sessions. A text runs in one pass, several texts share one, and there are no
     * logits; sessions of such a model cannot generate. False, the default: load for sessions.
     */
    public HappyLoadOptions embeddings(boolean value) {
        json.put("embeddings", value);
        return this;
    }

    /**
     * Maximum bytes for snapshots. In models with windows or recurrent states, a conversation can go back only to a
     * snapshot; without one, it is computed again from the beginning. At most an eighth of the memory budget is taken, and
     * nothing for models that need no snapshots. Default: 33554432 (32 MiB); 0: no snapshots.
     */
    public HappyLoadOptions snapshotBytes(long value) {
        json.put("snapshot_bytes", value);
        return this;
    }

    /**
     * Number of prompts that a session keeps computed in addition to that of its conversation: for branches, edits and
     * pinned prefixes. Default: 0.
     */
    public HappyLoadOptions branches(int value) {
        json.put("branches", value);
        return this;
    }

    /**
     * Maximum number of tokens, from 0 to 7, that sessions guess from their own texts and compute ahead. If a text repeats
     * its prompt, as an edit or a summary does, answers come faster, with the same words. Each guess takes memory for its
     * logits; if memory is short, fewer are guessed. Default: 0, no guesses.
     */
    public HappyLoadOptions draftTokens(int value) {
        json.put("draft_tokens", value);
        return this;
    }

    /**
     * Bytes for the keys and values that the prompts of {@code branches} don't share with the conversation. If they need
     * more, the least recently used are dropped. Default: 0.
     */
    public HappyLoadOptions branchBytes(long value) {
        json.put("branch_bytes", value);
        return this;
    }

    /**
     * True: sessions also guess with the file's draft head (multi-token prediction), if {@link #draftTokens} is not 0. A
     * file without one is refused with {@link HappyStatus#MODEL}. False, the default: they guess from their texts alone.
     */
    public HappyLoadOptions draftHead(boolean value) {
        json.put("draft_head", value);
        return this;
    }
    // </HappyLoadOptions setters>

    /** Ends loading early; null: nothing does. */
    public HappyLoadOptions cancel(HappyCancel cancel) {
        this.cancel = cancel;
        return this;
    }

    /** Hears how far loading is; null: nobody. */
    public HappyLoadOptions progress(HappyProgress progress) {
        this.progress = progress;
        return this;
    }

    byte[] utf8() {
        return json.utf8();
    }

    long cancelHandle() {
        return cancel == null ? 0 : cancel.handle();
    }

    HappyProgress progress() {
        return progress;
    }
}
