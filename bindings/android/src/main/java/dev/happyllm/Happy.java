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
     * Tells the governors of all sessions ({@link HappySessionOptions#governor}) what the app knows of the device. What is
     * unknown here is asked of the system, heat from Android 11 on. It holds until the next call.
     *
     * @param headroom as {@code PowerManager.getThermalHeadroom} tells it, at least 0: 1 is severe heat; NaN: unknown
     * @param thermalStatus as {@code PowerManager.getCurrentThermalStatus} tells it, 0 to 6; -1: unknown
     * @param batterySaver 1 if {@code PowerManager.isPowerSaveMode}, 0 if not; -1: unknown
     */
    public static void reportDevice(float headroom, int thermalStatus, int batterySaver) {
        Native.require();
        Native.reportDevice(headroom, thermalStatus, batterySaver);
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
