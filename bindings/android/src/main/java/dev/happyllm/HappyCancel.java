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

    /**
     * Raises the token. Work that uses it ends within milliseconds, or after the token of text that is being computed.
     */
    public void raise() {
        Native.cancelRaise(handle.get());
    }

    /** Makes it usable again. */
    public void lower() {
        Native.cancelLower(handle.get());
    }

    /** Frees the token. Work that began with it continues. Closing twice is fine. */
    @Override
    public void close() {
        long last = handle.take();
        if (last != 0) {
            Native.cancelFree(last);
        }
    }
}
