package dev.happyllm;

import static dev.happyllm.Check.equal;
import static dev.happyllm.Check.fails;
import static dev.happyllm.Check.that;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;

/**
 * Files of sessions, branches and what is reused, with tiny models. Arguments: a model, another one with the same vocabulary, a place
 * for a file.
 */
public final class SavedTest {
    private static final String KEY = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    private final String model;
    private final String other;
    private final String path;

    private SavedTest(String[] args) {
        model = args[0];
        other = args[1];
        path = args[2];
    }

    public static void main(String[] args) {
        Check check = new Check();
        SavedTest test = new SavedTest(args);
        check.run("files", test::files);
        check.run("another model", test::replayed);
        check.run("a paused model", test::paused);
        check.run("keys", test::keys);
        check.run("branches", test::branches);
        check.run("a governor", test::governed);
        check.run("what is computed elsewhere", test::verified);
        check.run("what is wrong", test::wrong);
        check.run("nothing is left", () -> equal(Happy.liveHandles(), 0L));
        System.exit(check.end());
    }

    private static HappyModel open(String file) {
        HappyLoadOptions options = new HappyLoadOptions().threads(1).context(512);
        return HappyModel.open(file, options.branches(4).branchBytes(1 << 18));
    }

    private static HappyFinish say(HappySession session, String text) {
        HappyGenerateOptions options = new HappyGenerateOptions().grammar("root ::= \"Hello, world.\"");
        return session.chat(text, options, null);
    }

    private void files() throws Exception {
        try (HappyModel loaded = open(model);
                HappySession whole = loaded.newSession();
                HappySession second = loaded.newSession()) {
            try (HappySession first = loaded.newSession()) {
                equal(first.file(), "{}");
                fails(HappyStatus.INVALID_ARGUMENT, "has no file", first::append);
                say(whole, "Hi");
                say(first, "Hi");
                first.save(path);
                say(whole, "Again");
                say(first, "Again");
                that(first.file().contains("\"turns\":2"), first.file());
                fails(HappyStatus.FILE, "another session", () -> second.restore(path));
            }
            second.restore(path);
            equal(second.messages(), whole.messages());
            equal(say(second, "More").promptTokens(), say(whole, "More").promptTokens());
            second.compact();
            that(second.file().contains("\"problem\":null"), second.file());
            // What is given back comes from the file.
            second.trim(HappySession.TrimLevel.SEQUENCES);
            equal(second.memory().positions(), 0L);
            that(say(second, "Hi").reusedTokens() > 50, "tokens of the file");
            second.closeFile();
            equal(second.file(), "{}");
        }
    }

    private void paused() throws Exception {
        try (HappyModel loaded = HappyModel.open(model, new HappyLoadOptions().threads(1).context(512).draftTokens(7));
                HappySession session = loaded.newSession()) {
            loaded.resume();
            loaded.pause();
            boolean[] resumed = {false};
            Thread later =
                    new Thread(
                            () -> {
                                synchronized (resumed) {
                                    resumed[0] = true;
                                }
                                loaded.resume();
                            });
            later.start();
            say(session, "Hi");
            synchronized (resumed) {
                that(resumed[0], "the turn waited");
            }
            later.join();
            session.trim(HappySession.TrimLevel.SCRATCH);
            that(session.memory().positions() > 0, "nothing is lost");
        }
    }

    private void replayed() throws Exception {
        try (HappyModel loaded = open(other);
                HappySession session = loaded.newSession();
                HappyCancel cancel = new HappyCancel()) {
            fails(HappyStatus.REPLAY, "another model file", () -> session.restore(path));
            cancel.raise();
            fails(HappyStatus.CANCELLED, "", () -> session.replay(path, cancel));
            session.replay(path, null);
            that(session.messages().contains("More"), session.messages());
            session.restore(path);
        }
    }

    private void keys() throws Exception {
        try (HappyModel loaded = open(model);
                HappySession plain = loaded.newSession();
                HappySession sealed = loaded.newSession(new HappySessionOptions().fileKey(KEY))) {
            say(sealed, "Secret");
            sealed.save(path);
            byte[] bytes = Files.readAllBytes(Paths.get(path));
            that(!new String(bytes, StandardCharsets.ISO_8859_1).contains("Secret"), "it is sealed");
            sealed.closeFile();
            fails(HappyStatus.SESSION_FILE, "open it with its key", () -> plain.restore(path));
            sealed.restore(path);
            that(sealed.file().contains("\"sealed\":true"), sealed.file());
            HappySessionOptions wrong = new HappySessionOptions().fileKey("password");
            fails(HappyStatus.INVALID_ARGUMENT, "64 hexadecimal digits", () -> loaded.newSession(wrong));
        }
    }

    private void branches() throws Exception {
        HappySessionOptions drops = new HappySessionOptions().contextPolicy("drop-oldest");
        try (HappyModel loaded = open(model); HappySession session = loaded.newSession(drops)) {
            long whole = say(session, "One").promptTokens();
            session.pin();
            session.regenerate();
            equal(say(session, null).promptTokens(), 1L);
            String first = session.messages();
            equal(session.branch(), 2);
            session.edit(1);
            say(session, "Two");
            session.goToBranch(1);
            equal(session.messages(), first);
            that(say(session, "Three").reusedTokens() > whole, "the first branch is there");
            HappyReuse reuse = session.reuse();
            equal(reuse.shiftedTokens(), 0L);
            that(reuse.prompts() == 4 && reuse.reusedTokens() < reuse.promptTokens(), "prompts");
            that(reuse.branches() > 1 && reuse.droppedMessages() == 0, "branches");
            that(reuse.guessedTokens() == 0 && reuse.acceptedTokens() == 0, "nothing is guessed unless asked for");
            equal(reuse.evictedBranches(), 0L);
            that(reuse.toString().contains(" of 4 prompts reused, 0 of 0 guesses right"), reuse.toString());
            session.unpin();
            fails(HappyStatus.INVALID_ARGUMENT, "no branch 3", () -> session.goToBranch(3));
            fails(HappyStatus.INVALID_ARGUMENT, "number: -1", () -> session.edit(-1));
        }
        HappySessionOptions slide = new HappySessionOptions().contextPolicy("slide");
        try (HappyModel loaded = open(model)) {
            fails(HappyStatus.INVALID_ARGUMENT, "context policy", () -> loaded.newSession(slide));
        }
    }

    private void governed() throws Exception {
        HappySessionOptions options = new HappySessionOptions().governor("rate=50");
        Happy.reportDevice(0.5f, 1, 0);
        try (HappyModel loaded = open(model);
                HappySession session = loaded.newSession(options);
                HappySession plain = loaded.newSession()) {
            say(session, "Hi");
            say(plain, "Hi");
            equal(session.messages(), plain.messages());
            that(session.governor().contains("\"tokens_per_second\":50.0"), session.governor());
            equal(plain.governor(), "{}");
            HappySessionOptions wrong = new HappySessionOptions().governor("fast");
            fails(HappyStatus.INVALID_ARGUMENT, "governor is `fast`", () -> loaded.newSession(wrong));
        }
        Happy.reportDevice(Float.NaN, -1, -1);
        fails(HappyStatus.INVALID_ARGUMENT, "status is 9", () -> Happy.reportDevice(Float.NaN, 9, -1));
    }

    private void verified() throws Exception {
        try (HappyModel loaded = open(model);
                HappyModel second = open(other)) {
            String reference = loaded.reference();
            equal(loaded.verify(reference), "{\"same\":true}");
            that(second.verify(reference).contains("\"same\":false"), "another model");
            fails(HappyStatus.INVALID_ARGUMENT, "", () -> loaded.verify("{}"));
        }
    }

    private void wrong() throws Exception {
        byte[] none = {'x'};
        for (long handle : new long[] {0, 1, -1, 12345, Long.MIN_VALUE}) {
            fails(HappyStatus.INVALID_HANDLE, "", () -> Native.sessionSave(handle, none));
            fails(HappyStatus.INVALID_HANDLE, "", () -> Native.sessionRestore(handle, none));
            fails(HappyStatus.INVALID_HANDLE, "", () -> Native.sessionReplay(handle, none, 0));
            fails(HappyStatus.INVALID_HANDLE, "", () -> Native.sessionAppend(handle));
            fails(HappyStatus.INVALID_HANDLE, "", () -> Native.sessionCompact(handle));
            fails(HappyStatus.INVALID_HANDLE, "", () -> Native.sessionCloseFile(handle));
            fails(HappyStatus.INVALID_HANDLE, "", () -> Native.sessionFile(handle));
            fails(HappyStatus.INVALID_HANDLE, "", () -> Native.sessionRegenerate(handle));
            fails(HappyStatus.INVALID_HANDLE, "", () -> Native.sessionEdit(handle, 1));
            fails(HappyStatus.INVALID_HANDLE, "", () -> Native.sessionBranch(handle));
            fails(HappyStatus.INVALID_HANDLE, "", () -> Native.sessionGoToBranch(handle, 1));
            fails(HappyStatus.INVALID_HANDLE, "", () -> Native.sessionPin(handle));
            fails(HappyStatus.INVALID_HANDLE, "", () -> Native.sessionUnpin(handle));
            fails(HappyStatus.INVALID_HANDLE, "", () -> Native.sessionReuse(handle));
            fails(HappyStatus.INVALID_HANDLE, "", () -> Native.sessionTrim(handle, 0));
        }
        try (HappyModel loaded = open(model)) {
            HappySession session = loaded.newSession();
            fails(HappyStatus.INVALID_ARGUMENT, "path is null", () -> session.save(null));
            fails(HappyStatus.INVALID_ARGUMENT, "path is empty", () -> session.restore(""));
            session.close();
            fails(HappyStatus.INVALID_HANDLE, "HappySession is closed", session::branch);
        }
    }
}
