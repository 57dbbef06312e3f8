package dev.happyllm;

/** How to load a model. What is not set takes the library's default. */
public final class HappyLoadOptions {
    /** Element types of the KV cache. */
    public enum KvType {
        /** 16-bit floats. */
        F16,
        /** 32-bit floats: twice the memory. */
        F32
    }

    private final Json json = new Json();
    private HappyCancel cancel;
    private HappyProgress progress;

    /** Threads, the caller's included; 0: the big cores but one, or all cores where they are equal. */
    public HappyLoadOptions threads(int threads) {
        json.put("threads", threads);
        return this;
    }

    /** Positions of a session; 0: what the model was trained for, at most 4096, and what fits the budget. */
    public HappyLoadOptions context(int positions) {
        json.put("context", positions);
        return this;
    }

    /** Most tokens of a prompt that are computed at once; 0: 256. Results do not depend on it. */
    public HappyLoadOptions batch(int tokens) {
        json.put("batch", tokens);
        return this;
    }

    /** Most bytes of anonymous memory for the model and one session; 0: what the machine has free. */
    public HappyLoadOptions memoryBudget(long bytes) {
        json.put("memory_budget", bytes);
        return this;
    }

    /** Instruction set, like {@code scalar}, {@code neon}, {@code dotprod}; empty: the best that the machine has. */
    public HappyLoadOptions isa(String name) {
        json.put("isa", Text.text("isa", name));
        return this;
    }

    /** Element type of the KV cache. */
    public HappyLoadOptions kvType(KvType type) {
        json.put("kv_type", type == KvType.F32 ? "f32" : "f16");
        return this;
    }

    /**
     * Read the file into anonymous memory. Otherwise it is mapped, and nobody may write to it or truncate it while the model
     * or one of its sessions lives.
     */
    public HappyLoadOptions copy(boolean copy) {
        json.put("copy", copy);
        return this;
    }

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
