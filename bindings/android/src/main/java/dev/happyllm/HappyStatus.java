package dev.happyllm;

/** Why a call failed, by what its caller can do about it. */
public enum HappyStatus {
    /** An argument or option is wrong: fix the call. */
    INVALID_ARGUMENT(1),
    /** The object was closed: fix the program. */
    INVALID_HANDLE(2),
    /** The session is in use by another thread, or has a turn that was not read to its end. */
    BUSY(3),
    /** Loading was cancelled. (A turn that is cancelled does not fail: see {@link HappyFinish.Reason#CANCELLED}.) */
    CANCELLED(4),
    /** The file or file descriptor cannot be read or written. */
    FILE(5),
    /** The file is not a GGUF model, is damaged, or its architecture is not supported. */
    MODEL(6),
    /** The plan is over the budget, or the system refused memory; the message says what would fit. */
    MEMORY(7),
    /** The conversation does not fit the context: shorten it, or load with a larger context. */
    CONTEXT_FULL(8),
    /** The model has no chat template, or its template refuses the messages. */
    TEMPLATE(9),
    /** The grammar or JSON schema is wrong; the message has the line and column, if there are any. */
    GRAMMAR(10),
    /** The file has no tokenizer, the text cannot be tokenized, or a token id is outside the vocabulary. */
    TOKENIZER(11),
    /** Not supported by this version or on this machine, or the native library could not be loaded. */
    UNSUPPORTED(12),
    /** The system refused something else, such as a thread. */
    SYSTEM(13),
    /** An error of the library, which was contained: please report it, and close the session in which it happened. */
    INTERNAL(14),
    /**
     * The session's file is damaged, of another version, sealed with another key, or its token ids mean something else
     * here. Another file or key is needed.
     */
    SESSION_FILE(15),
    /**
     * The session's file was computed with another model, adapter, kind of KV cache or version of the library, with the same
     * vocabulary: {@link HappySession#replay} computes its tokens again.
     */
    REPLAY(16);

    private final int code;

    HappyStatus(int code) {
        this.code = code;
    }

    /** The number that the C interface has for it. */
    public int code() {
        return code;
    }

    static HappyStatus of(int code) {
        for (HappyStatus status : values()) {
            if (status.code == code) {
                return status;
            }
        }
        return INTERNAL;
    }
}
