package dev.happyllm;

import java.util.Locale;

/** The memory that running a model takes, known before any of it is allocated. */
public final class HappyPlan {
    private final long[] fields;

    /** In the order of {@code plan} in the native library's {@code jni/numbers.rs}. */
    HappyPlan(long[] fields) {
        this.fields = fields;
    }

    /** Whether it fits the budget. */
    public boolean fits() {
        return fields[0] != 0;
    }

    /**
     * Maximum bytes of anonymous memory without grammars and tools: KV cache, scratch, tables, tokenizer, and the
     * weights if they are copied.
     */
    public long anonBytes() {
        return fields[1];
    }

    /** The budget in bytes; {@link Long#MAX_VALUE} if the system does not tell what is free. */
    public long budgetBytes() {
        return fields[2];
    }

    /** Bytes of the weights. */
    public long weightBytes() {
        return fields[3];
    }

    /** Bytes of the KV cache when all of it is used. */
    public long kvBytes() {
        return fields[4];
    }

    /** Bytes of activations and scratch. */
    public long scratchBytes() {
        return fields[5];
    }

    /** Bytes of the tokenizer's tables. */
    public long tokenizerBytes() {
        return fields[6];
    }

    /** Size of a session's context in tokens. */
    public int context() {
        return (int) fields[7];
    }

    /**
     * If the plan does not fit: the largest context that would fit, or 0 if none would. Otherwise the same as
     * {@link #context}.
     */
    public int fittingContext() {
        return (int) fields[8];
    }

    /** Maximum number of prompt tokens in one pass. */
    public int batch() {
        return (int) fields[9];
    }

    /** Number of threads. */
    public int threads() {
        return (int) fields[10];
    }

    /** Whether the weights are read into anonymous memory. */
    public boolean weightsCopied() {
        return fields[11] != 0;
    }

    /**
     * The context that was planned for at first, if it had to shrink to fit the budget; otherwise 0. It shrinks only if
     * the options leave its size open.
     */
    public int shrunkFrom() {
        return (int) fields[12];
    }

    /** Maximum bytes of the model's tables: layers, norms, biases. */
    public long tableBytes() {
        return fields[13];
    }

    /**
     * Maximum bytes of the vocabulary that grammars, JSON schemas and tools need, in addition to {@link #anonBytes}.
     * They are taken when the first of these is used.
     */
    public long grammarBytes() {
        return fields[14];
    }

    /** The part of {@link #kvBytes} that holds the states of recurrent layers; 0 if the model has none. */
    public long stateBytes() {
        return fields[15];
    }

    /**
     * The part of {@link #kvBytes} that holds snapshots, {@code snapshotBytes} of {@link HappyLoadOptions}; 0 if the model needs
     * none.
     */
    public long snapshotBytes() {
        return fields[16];
    }

    @Override
    public String toString() {
        String form = "a context of %d needs %d bytes of memory (KV cache %d, scratch %d, tokenizer %d, tables %d), %s";
        String verdict = fits() ? "which fits" : "over the budget of " + budgetBytes();
        return String.format(
                Locale.ROOT, form, context(), anonBytes(), kvBytes(), scratchBytes(), tokenizerBytes(), tableBytes(), verdict);
    }
}
