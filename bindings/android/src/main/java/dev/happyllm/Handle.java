package dev.happyllm;

import java.util.concurrent.atomic.AtomicLong;

/** A number of the native library that is given back once. */
final class Handle {
    private final String owner;
    private final AtomicLong value;

    Handle(String owner, long value) {
        this.owner = owner;
        this.value = new AtomicLong(value);
    }

    /** The number; throws after {@link #take}. */
    long get() {
        long handle = value.get();
        if (handle == 0) {
            throw new HappyException(HappyStatus.INVALID_HANDLE, "the " + owner + " is closed");
        }
        return handle;
    }

    /** The number, or 0 after {@link #take}. */
    long peek() {
        return value.get();
    }

    /** The number, to be freed; 0 from the second call on. */
    long take() {
        return value.getAndSet(0);
    }
}
