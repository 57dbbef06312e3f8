package dev.happyllm;

/** Where the library is not found, every entry fails with an exception that an app can catch, and says why. */
public final class NoLibraryTest {
    private NoLibraryTest() {}

    public static void main(String[] args) {
        Check check = new Check();
        Check.Case[] entries = {
            Happy::version,
            Happy::cpu,
            Happy::liveHandles,
            HappyCancel::new,
            () -> HappyModel.open("model.gguf"),
            () -> HappyModel.openFd(0, 0, 0),
            () -> HappyModel.plan("model.gguf", new HappyLoadOptions()),
            () -> HappyModel.planFd(0, 0, 0, new HappyLoadOptions()),
        };
        for (int i = 0; i < entries.length; i++) {
            Check.Case entry = entries[i];
            check.run("entry " + i, () -> Check.fails(HappyStatus.UNSUPPORTED, "`happy`", entry));
        }
        System.exit(check.end());
    }
}
