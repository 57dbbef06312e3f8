package dev.happyllm;

/**
 * The functions of {@code libhappy.so}. Handles are numbers that the library checks: one that was freed gives
 * {@link HappyStatus#INVALID_HANDLE}. Texts are UTF-8; options are JSON objects, see {@link Json}. Every function throws
 * {@link HappyException}.
 */
final class Native {
    /** What these declarations and the library must agree on. */
    private static final int VERSION = 1;

    /** Why the library cannot be used, or null. */
    private static final HappyException UNUSABLE = load();

    private Native() {}

    /** Throws if the library cannot be used. What makes or names a first object calls it. */
    static void require() {
        if (UNUSABLE != null) {
            throw new HappyException(UNUSABLE.status(), UNUSABLE.getMessage(), UNUSABLE);
        }
    }

    private static HappyException load() {
        try {
            System.loadLibrary("happy");
            int found = bindingVersion();
            if (found == VERSION) {
                return null;
            }
            String message = "the native library has version " + found + " of the Java interface, expected " + VERSION;
            return new HappyException(HappyStatus.UNSUPPORTED, message);
        } catch (LinkageError | SecurityException e) {
            String message = "the native library `happy` cannot be used: " + e.getMessage();
            return new HappyException(HappyStatus.UNSUPPORTED, message, e);
        }
    }

    private static native int bindingVersion();

    static native byte[] version();

    static native byte[] cpu();

    static native long liveHandles();

    static native void reportDevice(float headroom, int thermalStatus, int batterySaver);

    static native long cancelNew();

    static native void cancelRaise(long cancel);

    static native void cancelLower(long cancel);

    static native void cancelFree(long cancel);

    static native long[] planFile(byte[] path, byte[] options);

    static native long[] planFd(int fd, long offset, long length, byte[] options);

    static native long[] planFds(long[] parts, byte[] options);

    static native long openFile(byte[] path, byte[] options, long cancel, HappyProgress progress);

    static native long openFd(
            int fd, long offset, long length, byte[] options, long cancel, HappyProgress progress);

    static native long openFds(long[] parts, byte[] options, long cancel, HappyProgress progress);

    static native void modelFree(long model);

    static native void modelPause(long model);

    static native void modelResume(long model);

    static native long[] modelPlan(long model);

    static native byte[] modelInfo(long model, boolean metadata);

    static native byte[] modelReference(long model, long cancel);

    static native byte[] modelVerify(long model, byte[] reference, long cancel);

    static native int[] tokenize(long model, byte[] text, boolean special);

    static native byte[] detokenize(long model, int[] tokens, boolean special);

    static native byte[] tokenPiece(long model, int token);

    static native byte[] applyTemplate(long model, byte[] messages, byte[] tools, boolean answer);

    static native long sessionNew(long model, byte[] options);

    static native void sessionFree(long session);

    static native void sessionAdd(long session, byte[] role, byte[] content);

    static native void sessionAddJson(long session, byte[] message);

    static native byte[] sessionMessages(long session);

    static native void sessionTruncate(long session, long count);

    static native void sessionClear(long session);

    static native long[] sessionMemory(long session);

    static native byte[] sessionGovernor(long session);

    /** {@code adapters} is a JSON array of texts. */
    static native void sessionSetAdapters(long session, byte[] adapters);

    static native byte[] sessionLeftOut(long session);

    static native void sessionSave(long session, byte[] path);

    static native void sessionRestore(long session, byte[] path);

    static native void sessionReplay(long session, byte[] path, long cancel);

    static native void sessionAppend(long session);

    static native void sessionCompact(long session);

    static native void sessionCloseFile(long session);

    static native byte[] sessionFile(long session);

    static native void sessionRegenerate(long session);

    static native void sessionEdit(long session, int number);

    static native int sessionBranch(long session);

    static native void sessionGoToBranch(long session, int number);

    static native void sessionPin(long session);

    static native void sessionUnpin(long session);

    /** The fields of a {@link HappyReuse}. */
    static native long[] sessionReuse(long session);

    static native void sessionTrim(long session, int level);

    /** {@code text} may be null: the messages are answered as they are. */
    static native void start(long session, byte[] text, byte[] options, long cancel);

    /** An event as {@link HappyEvent#decode} reads it. */
    static native byte[] next(long session);

    static native void stop(long session);

    static native long embedderNew(long model, byte[] options);

    static native void embedderFree(long embedder);

    /** Pooling, values of a vector, maximum number of tokens of a text. */
    static native long[] embedderInfo(long embedder);

    /** Vectors as {@link HappyEmbedding#decode} reads them; {@code texts} is a JSON array. */
    static native byte[] embed(long embedder, byte[] texts, long cancel);

    /** Ranks as {@link HappyRank#decode} reads them; {@code documents} is a JSON array. */
    static native byte[] rerank(long embedder, byte[] query, byte[] documents, long cancel);
}
