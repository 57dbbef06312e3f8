package dev.happyllm;

/**
 * Ends loading or generating early. Any thread may raise it. For turns, {@link HappySession#cancel} mostly does.
 */
public final class HappyCancel implements AutoCloseable {
    private final Handle handle;

    /** A token that is not raised. */
    public HappyCancel() {
        Native.require();
        handle = new Handle("HappyCancel", Native.cancelNew());
    }

    long handle() {
        return handle.get();
    }

    /** What uses the token ends within milliseconds, or with the token of text that is being computed. */
    public void raise() {
        Native.cancelRaise(handle.get());
    }

    /** Makes it usable again. */
    public void lower() {
        Native.cancelLower(handle.get());
    }

    /** Frees it; what began with it goes on. Closing twice is fine. */
    @Override
    public void close() {
        long last = handle.take();
        if (last != 0) {
            Native.cancelFree(last);
        }
    }
}
