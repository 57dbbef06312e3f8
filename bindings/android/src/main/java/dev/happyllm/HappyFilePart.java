package dev.happyllm;

/** A part of an open file, as an {@code AssetFileDescriptor} gives it: a model, or a part of a split one. */
public final class HappyFilePart {
    final int fd;
    final long offset;
    final long length;

    /**
     * A part of {@code length} bytes (0 or less: all) of a file from {@code offset} on. The offset needs no alignment.
     * The descriptor is duplicated when the model is loaded: the caller closes its own.
     */
    public HappyFilePart(int fd, long offset, long length) {
        this.fd = fd;
        this.offset = offset;
        this.length = length;
    }

    /** Three numbers for each part, as the native library takes them. */
    static long[] numbers(HappyFilePart[] parts) {
        long[] numbers = new long[3 * parts.length];
        for (int i = 0; i < parts.length; i++) {
            numbers[3 * i] = parts[i].fd;
            numbers[3 * i + 1] = parts[i].offset;
            numbers[3 * i + 2] = parts[i].length;
        }
        return numbers;
    }
}
