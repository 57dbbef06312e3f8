package dev.happyllm;

/**
 * A loaded model. It never changes: any number of sessions and threads may use it. Its sessions and embedders keep what they need of it:
 * it may be closed before them.
 */
public final class HappyModel implements AutoCloseable {
    private final Handle handle;

    private HappyModel(long handle) {
        this.handle = new Handle("HappyModel", handle);
    }

    /** Loads the model of a file with all defaults. */
    public static HappyModel open(String path) {
        return open(path, new HappyLoadOptions());
    }

    /**
     * Loads the model of a file, or a split model by the path of any part. It blocks: don't call it on the main thread.
     *
     * @throws HappyException if the file cannot be read or is no model that is supported, if the plan is over the budget, or if
     *     loading was cancelled
     */
    public static HappyModel open(String path, HappyLoadOptions options) {
        Native.require();
        byte[] name = Text.utf8("path", path);
        return new HappyModel(
                Native.openFile(name, options.utf8(), options.cancelHandle(), options.progress()));
    }

    /** As the other {@code openFd}, with all defaults. */
    public static HappyModel openFd(int fd, long offset, long length) {
        return openFd(fd, offset, length, new HappyLoadOptions());
    }

    /**
     * Loads the model that is in {@code length} bytes (0 or less: all) of a file from {@code offset} on, as an
     * {@code AssetFileDescriptor} describes them. The offset needs no alignment. The descriptor is duplicated: the
     * caller closes its own.
     *
     * @throws HappyException as {@link #open(String, HappyLoadOptions)}
     */
    public static HappyModel openFd(int fd, long offset, long length, HappyLoadOptions options) {
        Native.require();
        return new HappyModel(
                Native.openFd(
                        fd, offset, length, options.utf8(), options.cancelHandle(), options.progress()));
    }

    /**
     * Loads a split model whose parts are parts of open files, in any order.
     *
     * @throws HappyException as {@link #open(String, HappyLoadOptions)}
     */
    public static HappyModel openFds(HappyFilePart[] parts, HappyLoadOptions options) {
        Native.require();
        return new HappyModel(
                Native.openFds(
                        HappyFilePart.numbers(parts),
                        options.utf8(),
                        options.cancelHandle(),
                        options.progress()));
    }

    /**
     * Plans the memory for running the model of a file, from its header. A plan over the budget is not an error here: see
     * {@link HappyPlan#fits}.
     *
     * @throws HappyException if the file cannot be read or is no model that is supported
     */
    public static HappyPlan plan(String path, HappyLoadOptions options) {
        Native.require();
        return new HappyPlan(Native.planFile(Text.utf8("path", path), options.utf8()));
    }

    /** As {@link #plan(String, HappyLoadOptions)}, for a part of a file. */
    public static HappyPlan planFd(int fd, long offset, long length, HappyLoadOptions options) {
        Native.require();
        return new HappyPlan(Native.planFd(fd, offset, length, options.utf8()));
    }

    /** As {@link #plan(String, HappyLoadOptions)}, for a split model in parts of files. */
    public static HappyPlan planFds(HappyFilePart[] parts, HappyLoadOptions options) {
        Native.require();
        return new HappyPlan(Native.planFds(HappyFilePart.numbers(parts), options.utf8()));
    }

    /** Returns the plan: the memory that the model and one session take. */
    public HappyPlan plan() {
        return new HappyPlan(Native.modelPlan(handle.get()));
    }

    /**
     * Describes the model as a JSON object: {@code architecture}, {@code name}, {@code parameters},
     * {@code trained_context}, {@code vocabulary}, {@code layers}, {@code file_type}, {@code chat_template},
     * {@code reply_format}, and {@code chat_template_error} if the template is damaged.
     *
     * @param metadata also all metadata of the file, long arrays shortened
     */
    public String info(boolean metadata) {
        return Text.string(Native.modelInfo(handle.get(), metadata));
    }

    /**
     * Computes what {@link #verify} compares with on other devices, as JSON of some 100 KiB. Make it where results are
     * trusted. It takes seconds for a model of a billion parameters: don't call it on the main thread.
     */
    public String reference() {
        return Text.string(Native.modelReference(handle.get(), 0));
    }

    /**
     * Checks whether this device computes what the device computed that made the reference: with the same bits. It blocks
     * for seconds: don't call it on the main thread.
     *
     * @return a JSON object: <code>{"same":true}</code>, or the first difference with {@code part} ({@code tokenizer},
     *     {@code template}, {@code weights}, {@code layer} or {@code logits}), {@code name} and {@code kernel}
     * @throws HappyException with {@link HappyStatus#INVALID_ARGUMENT} if the reference is of another architecture or
     *     version of the numerics
     */
    public String verify(String reference) {
        return Text.string(Native.modelVerify(handle.get(), Text.utf8("reference", reference), 0));
    }

    /**
     * Returns the tokens of a text. With {@code special} the strings of control tokens become those tokens, and BOS and
     * EOS are added if the model wants them.
     */
    public int[] tokenize(String text, boolean special) {
        return Native.tokenize(handle.get(), Text.utf8("text", text), special);
    }

    /**
     * Returns the text of tokens. With {@code special} control tokens become their strings; otherwise they are left
     * out.
     */
    public String detokenize(int[] tokens, boolean special) {
        return Text.string(Native.detokenize(handle.get(), tokens, special));
    }

    /** Returns the bytes of one token, which may be only a part of a character. */
    public byte[] tokenPiece(int token) {
        return Native.tokenPiece(handle.get(), token);
    }

    /**
     * Renders the prompt that the model's template makes of messages.
     *
     * @param messages a JSON array like <code>[{"role": "user", "content": "Hi"}]</code>
     * @param tools a JSON array, or empty
     * @param answer whether the prompt ends with the header of an answer
     */
    public String applyTemplate(String messages, String tools, boolean answer) {
        byte[] said = Text.utf8("messages", messages);
        return Text.string(Native.applyTemplate(handle.get(), said, Text.utf8("tools", tools), answer));
    }

    /** Makes a session with all defaults. */
    public HappySession newSession() {
        return newSession(new HappySessionOptions());
    }

    /**
     * Makes a session: a conversation with KV cache, scratch and threads as planned.
     *
     * @throws HappyException with {@link HappyStatus#TEMPLATE} if the options have a system message or tools, and the model
     *     has no chat template
     */
    public HappySession newSession(HappySessionOptions options) {
        return new HappySession(Native.sessionNew(handle.get(), options.utf8()));
    }

    /** Makes an embedder with all defaults. */
    public HappyEmbedder newEmbedder() {
        return newEmbedder(new HappyEmbedOptions());
    }

    /**
     * Makes an embedder: memory and threads that turn texts into vectors, or rank documents.
     *
     * @throws HappyException with {@link HappyStatus#INVALID_ARGUMENT} if the model was loaded without
     *     {@link HappyLoadOptions#embeddings}, or neither its file nor the options say how to pool
     */
    public HappyEmbedder newEmbedder(HappyEmbedOptions options) {
        return new HappyEmbedder(Native.embedderNew(handle.get(), options.utf8()));
    }

    /**
     * Makes all sessions of this model wait before their next token, or their next part of a prompt, until
     * {@link #resume}: for an app that goes to the background. What is being computed is finished first. A turn that is
     * cancelled or closed while it waits ends. {@link HappySession#trim} gives memory of idle sessions back.
     */
    public void pause() {
        Native.modelPause(handle.get());
    }

    /** Lets the sessions continue after {@link #pause}. Does nothing if they are not paused. */
    public void resume() {
        Native.modelResume(handle.get());
    }

    /** Frees the model; what its sessions and embedders need of it, with the last of them. Closing twice is fine. */
    @Override
    public void close() {
        long last = handle.take();
        if (last != 0) {
            Native.modelFree(last);
        }
    }
}
