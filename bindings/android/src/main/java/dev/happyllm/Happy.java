package dev.happyllm;

/** The library itself. */
public final class Happy {
    private Happy() {}

    /** The native library's version, like {@code 0.1.0}. */
    public static String version() {
        Native.require();
        return Text.string(Native.version());
    }

    /**
     * What the processor has and what the library makes of it, as a JSON object: {@code architecture}, {@code cores},
     * {@code capacities}, {@code default_threads}, {@code features}, {@code instruction_sets}, {@code chosen}.
     */
    public static String cpu() {
        Native.require();
        return Text.string(Native.cpu());
    }

    /** Native objects that were made and not closed yet: 0 when a program has closed all. For tests of leaks. */
    public static long liveHandles() {
        Native.require();
        return Native.liveHandles();
    }
}
