package dev.happyllm;

/** The library itself. */
public final class Happy {
    private Happy() {}

    /** Returns the native library's version, such as {@code 1.2.3}. */
    public static String version() {
        Native.require();
        return Text.string(Native.version());
    }

    /**
     * Describes the processor and what the library uses of it, as a JSON object: {@code architecture}, {@code cores},
     * {@code capacities}, {@code default_threads}, {@code features}, {@code instruction_sets}, {@code chosen}.
     */
    public static String cpu() {
        Native.require();
        return Text.string(Native.cpu());
    }

    /**
     * Returns the number of native objects that were made and not closed yet: 0 when a program has closed all. For
     * tests of leaks.
     */
    public static long liveHandles() {
        Native.require();
        return Native.liveHandles();
    }
}
