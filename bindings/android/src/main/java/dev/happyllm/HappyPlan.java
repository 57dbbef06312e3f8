package dev.happyllm;

/** What running a model takes, known before any of it is allocated. */
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
     * Most bytes of anonymous memory without grammars and tools: KV cache, scratch, tables, tokenizer, and the weights if they
     * are copied.
     */
    public long anonBytes() {
        return fields[1];
    }

    /** Bytes that it may take. */
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

    /** Positions of a session. */
    public int context() {
        return (int) fields[7];
    }

    /** If it does not fit: the largest context that would, or 0 if none would. Else as {@link #context}. */
    public int fittingContext() {
        return (int) fields[8];
    }

    /** Most tokens of a prompt that are computed at once. */
    public int batch() {
        return (int) fields[9];
    }

    /** Threads. */
    public int threads() {
        return (int) fields[10];
    }

    /** Whether the weights are read into anonymous memory. */
    public boolean weightsCopied() {
        return fields[11] != 0;
    }

    /**
     * The context that was planned for at first, if it had to shrink to fit the budget, else 0. It shrinks only if the
     * options ask for no size.
     */
    public int shrunkFrom() {
        return (int) fields[12];
    }

    /** Most bytes of the model's tables: layers, norms, biases. */
    public long tableBytes() {
        return fields[13];
    }

    /**
     * Most bytes of the vocabulary that grammars, JSON schemas and tools need, on top of {@link #anonBytes}: taken when the
     * first of them is used.
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
}
