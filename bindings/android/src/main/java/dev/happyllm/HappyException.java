package dev.happyllm;

import java.nio.charset.StandardCharsets;

/** A call failed. The status says what can be done, the message what, where, expected and found. */
public final class HappyException extends RuntimeException {
    private static final long serialVersionUID = 1;

    private final HappyStatus status;

    HappyException(HappyStatus status, String message) {
        super(message);
        this.status = status;
    }

    HappyException(HappyStatus status, String message, Throwable cause) {
        super(message, cause);
        this.status = status;
    }

    /** Called by the native library: its texts are UTF-8. */
    HappyException(int code, byte[] message) {
        this(HappyStatus.of(code), new String(message, StandardCharsets.UTF_8));
    }

    /** What the caller can do. */
    public HappyStatus status() {
        return status;
    }
}
