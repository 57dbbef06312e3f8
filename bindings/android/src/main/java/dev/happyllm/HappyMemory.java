package dev.happyllm;

import java.util.Locale;

/** The memory of a session and of the process, in bytes. */
public final class HappyMemory {
    private final long[] fields;

    /** In the order of {@code memory} in the native library's {@code jni/numbers.rs}. */
    HappyMemory(long[] fields) {
        this.fields = fields;
    }

    /** Whether the weights are in anonymous memory. */
    public boolean weightsCopied() {
        return fields[0] != 0;
    }

    /** The weights; file-backed unless they are copied. */
    public long weightBytes() {
        return fields[1];
    }

    /** The KV cache when all of it is used. */
    public long kvBytes() {
        return fields[2];
    }

    /** The part of the KV cache that is in use. */
    public long kvResidentBytes() {
        return fields[3];
    }

    /** Activations and scratch. */
    public long scratchBytes() {
        return fields[4];
    }

    /** The tokenizer's tables. */
    public long tokenizerBytes() {
        return fields[5];
    }

    /** The process: anonymous pages. 0 if the system does not tell, as for the next two. */
    public long processAnonBytes() {
        return fields[6];
    }

    /** The process: pages of mapped files. */
    public long processFileBytes() {
        return fields[7];
    }

    /** The process: the highest resident size so far. */
    public long processPeakBytes() {
        return fields[8];
    }

    /** Number of positions of the context that are in use. */
    public long positions() {
        return fields[9];
    }

    @Override
    public String toString() {
        String form = "%d positions in use; process: %d bytes anonymous, %d file-backed, %d at most so far; KV cache: %d of %d bytes";
        return String.format(
                Locale.ROOT,
                form,
                positions(),
                processAnonBytes(),
                processFileBytes(),
                processPeakBytes(),
                kvResidentBytes(),
                kvBytes());
    }
}
