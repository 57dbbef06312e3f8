package dev.happyllm;

import static dev.happyllm.Check.equal;
import static dev.happyllm.Check.fails;
import static dev.happyllm.Check.that;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/**
 * Drives all of the Java interface. Arguments: a real model, bytes before it in what is open as standard input, a tiny model
 * with a template for tools, the library's version, load cycles, a folder with {@code answer.txt}, which is what the model
 * answers to {@link #QUESTION} if it may say {@link #TOKENS} and always takes the best.
 */
public final class BindingTest {
    private static final String QUESTION = "What is the capital of France?";
    private static final int TOKENS = 24;
    private static final String EMOJI = "na\u00efve \ud83e\udd80 \u65e5\u672c\u8a9e \ud83d\udc69\u200d\ud83d\udc67 \u0000 end";
    private static final String HALF = "abc\ud83e";

    private final String file;
    private final long offset;
    private final String tiny;
    private final String version;
    private final int cycles;
    private final Path folder;
    private final String answer;
    private HappyModel model;

    private BindingTest(String[] args) throws IOException {
        file = args[0];
        offset = Long.parseLong(args[1]);
        tiny = args[2];
        version = args[3];
        cycles = Integer.parseInt(args[4]);
        folder = Paths.get(args[5]);
        answer = new String(Files.readAllBytes(folder.resolve("answer.txt")), StandardCharsets.UTF_8);
    }

    public static void main(String[] args) throws Exception {
        Check check = new Check();
        BindingTest test = new BindingTest(args);
        check.run("the library", test::library);
        check.run("bad files", test::badFiles);
        check.run("plans and budgets", test::plansAndBudgets);
        check.run("loading can be watched and ended", test::loadingCanBeWatchedAndEnded);
        test.model = HappyModel.open(test.file, small());
        check.run("chat", test::chat);
        check.run("pull", test::pull);
        check.run("text is coalesced", test::textIsCoalesced);
        check.run("cancel from another thread", test::cancelFromAnotherThread);
        check.run("listeners stop and throw", test::listenersStopAndThrow);
        check.run("closed under a running turn", test::closedUnderARunningTurn);
        check.run("two sessions at once", test::twoSessionsAtOnce);
        check.run("conversation", test::conversation);
        check.run("tools and thoughts", test::toolsAndThoughts);
        check.run("grammar and options", test::grammarAndOptions);
        check.run("texts of all kinds", test::textsOfAllKinds);
        check.run("nulls", test::nulls);
        check.run("file descriptor with an offset", test::fileDescriptor);
        check.run("closed", test::closed);
        check.run("invalid handles", test::invalidHandles);
        test.model.close();
        check.run("load and close, " + test.cycles + " times", test::loadAndClose);
        check.run("nothing is left", () -> equal(Happy.liveHandles(), 0L));
        System.exit(check.end());
    }

    private static HappyLoadOptions small() {
        return new HappyLoadOptions().context(512).threads(2);
    }

    /** Always the same answer. */
    private static HappyGenerateOptions greedy(int tokens) {
        return new HappyGenerateOptions()
                .maxTokens(tokens)
                .sampler(new HappySamplerOptions().temperature(0));
    }

    /** Goes on until somebody stops it, or the context is full. */
    private static HappyGenerateOptions endless() {
        return greedy(0).ignoreEnd(true);
    }

    /** The text of a turn's events of text. */
    private static String textOf(List<HappyEvent> events) {
        StringBuilder text = new StringBuilder();
        for (HappyEvent event : events) {
            text.append(event.kind() == HappyEvent.Kind.TEXT ? event.text() : "");
        }
        return text.toString();
    }

    private String answer(HappySession session, HappyGenerateOptions options) {
        List<HappyEvent> events = new ArrayList<>();
        session.chat(QUESTION, options, events::add);
        return textOf(events);
    }

    private void library() {
        equal(Happy.version(), version);
        that(Happy.cpu().contains("\"chosen\""), Happy.cpu());
        equal(Happy.liveHandles(), 0L);
    }

    private void badFiles() throws Exception {
        Path damaged = Files.write(folder.resolve("damaged.gguf"), "GGUF, they said".getBytes(StandardCharsets.UTF_8));
        Path empty = Files.write(folder.resolve("empty.gguf"), new byte[0]);
        // Not by way of a Path: those refuse an emoji where the locale is plain C.
        String missing = folder + "/missing \ud83e\udd80.gguf";
        HappyLoadOptions options = new HappyLoadOptions();
        fails(HappyStatus.MODEL, damaged.toString(), () -> HappyModel.open(damaged.toString()));
        fails(HappyStatus.MODEL, "", () -> HappyModel.open(empty.toString()));
        fails(HappyStatus.FILE, missing, () -> HappyModel.open(missing));
        fails(HappyStatus.FILE, missing, () -> HappyModel.plan(missing, options));
        fails(HappyStatus.FILE, "", () -> HappyModel.open(folder.toString()));
        fails(HappyStatus.INVALID_ARGUMENT, "path", () -> HappyModel.open(""));
        fails(HappyStatus.FILE, "9999", () -> HappyModel.openFd(9999, 0, 0));
        fails(HappyStatus.INVALID_ARGUMENT, "negative", () -> HappyModel.openFd(-1, 0, 0));
        fails(HappyStatus.INVALID_ARGUMENT, "offset: -4", () -> HappyModel.openFd(0, -4, 0));
        // The zeros before the model, a part that is cut off, and what is past the file's end.
        fails(HappyStatus.MODEL, "", () -> HappyModel.openFd(0, 0, offset));
        fails(HappyStatus.MODEL, "", () -> HappyModel.openFd(0, offset, 100_000));
        HappyException beyond = null;
        try {
            HappyModel.planFd(0, Long.MAX_VALUE, 0, options);
        } catch (HappyException e) {
            beyond = e;
        }
        that(beyond != null, "an offset beyond the end");
        equal(Happy.liveHandles(), 0L);
    }

    private void plansAndBudgets() throws Exception {
        HappyPlan plan = HappyModel.plan(file, small());
        that(plan.fits() && plan.context() == 512 && plan.threads() == 2 && plan.batch() == 256, "plan");
        that(!plan.weightsCopied() && plan.weightBytes() > 50_000_000 && plan.kvBytes() > 0, "plan");
        that(plan.anonBytes() >= plan.kvBytes() + plan.scratchBytes() + plan.tokenizerBytes(), "plan");
        equal(plan.fittingContext(), 512);
        HappyLoadOptions tight = small().memoryBudget(plan.anonBytes() - 1);
        HappyPlan refused = HappyModel.plan(file, tight);
        that(!refused.fits() && refused.fittingContext() < 512, "refused");
        equal(refused.budgetBytes(), plan.anonBytes() - 1);
        fails(HappyStatus.MEMORY, "", () -> HappyModel.open(file, tight));
        fails(HappyStatus.INVALID_ARGUMENT, "threads: -1", () -> HappyModel.open(file, small().threads(-1)));
        fails(HappyStatus.UNSUPPORTED, "z80", () -> HappyModel.open(file, small().isa("z80")));
        HappyPlan copied = HappyModel.plan(file, small().copy(true).kvType(HappyLoadOptions.KvType.F32));
        that(copied.weightsCopied() && copied.kvBytes() == 2 * plan.kvBytes(), "copied");
    }

    private void loadingCanBeWatchedAndEnded() throws Exception {
        List<Float> heard = new ArrayList<>();
        HappyModel.open(file, small().progress(heard::add)).close();
        that(heard.get(heard.size() - 1) == 1, "the last fraction of " + heard);
        for (int i = 1; i < heard.size(); i++) {
            that(heard.get(i) >= heard.get(i - 1), "order of " + heard);
        }
        fails(HappyStatus.CANCELLED, "", () -> HappyModel.open(file, small().progress(fraction -> false)));
        try (HappyCancel cancel = new HappyCancel()) {
            cancel.raise();
            fails(HappyStatus.CANCELLED, "", () -> HappyModel.open(file, small().cancel(cancel)));
            cancel.lower();
            HappyModel.open(file, small().cancel(cancel)).close();
        }
        IllegalStateException mine = new IllegalStateException("mine");
        RuntimeException caught = null;
        try {
            HappyModel.open(file, small().progress(fraction -> {
                throw mine;
            }));
        } catch (IllegalStateException e) {
            caught = e;
        }
        that(caught == mine, "what progress threw: " + caught);
        equal(Happy.liveHandles(), 0L);
    }

    private void chat() {
        try (HappySession session = model.newSession()) {
            List<HappyEvent> events = new ArrayList<>();
            HappyFinish finish = session.chat(QUESTION, greedy(TOKENS), events::add);
            equal(textOf(events), answer);
            equal(events.get(0).kind(), HappyEvent.Kind.PREFILL);
            that(events.get(events.size() - 1).isDone(), "the last event");
            that(finish.promptTokens() > 0 && finish.generatedTokens() > 0, finish.toString());
            that(finish.prefillSeconds() > 0 && finish.decodeRate() > 0, finish.toString());
            that(session.messages().contains(answer), session.messages());
            HappyFinish second = session.chat("And of Italy?", greedy(TOKENS), null);
            that(second.reusedTokens() > finish.promptTokens(), "the cache is used: " + second);
            HappyMemory memory = session.memory();
            that(memory.positions() > 0 && memory.kvResidentBytes() > 0, "memory");
            that(memory.toString().startsWith(memory.positions() + " positions in use"), memory.toString());
            that(memory.processAnonBytes() > 0 && memory.processPeakBytes() >= memory.processAnonBytes(), "process");
        }
    }

    private void pull() throws Exception {
        try (HappySession session = model.newSession()) {
            fails(HappyStatus.INVALID_ARGUMENT, "no turn", session::next);
            session.start(QUESTION, greedy(TOKENS));
            fails(HappyStatus.BUSY, "", session::messages);
            fails(HappyStatus.BUSY, "", () -> session.start(QUESTION, greedy(TOKENS)));
            List<HappyEvent> events = new ArrayList<>();
            do {
                events.add(session.next());
            } while (!events.get(events.size() - 1).isDone());
            equal(textOf(events), answer);
            session.start(QUESTION, endless());
            session.next();
            session.stop();
            session.stop();
            session.messages();
        }
    }

    private void textIsCoalesced() {
        try (HappySession session = model.newSession()) {
            List<HappyEvent> events = new ArrayList<>();
            session.chat(QUESTION, greedy(TOKENS).coalesceBytes(1_000_000), events::add);
            events.removeIf(event -> event.kind() != HappyEvent.Kind.TEXT);
            equal(events.size(), 1);
            equal(events.get(0).text(), answer);
        }
    }

    private void cancelFromAnotherThread() throws Exception {
        ExecutorService thread = Executors.newSingleThreadExecutor();
        try (HappySession session = model.newSession()) {
            // There is no turn yet: nothing happens.
            session.cancel();
            CountDownLatch speaks = new CountDownLatch(1);
            Future<HappyFinish> turn = thread.submit(() -> session.chat(QUESTION, endless(), event -> {
                if (event.kind() == HappyEvent.Kind.TEXT) {
                    speaks.countDown();
                }
                return true;
            }));
            that(speaks.await(60, TimeUnit.SECONDS), "no text came");
            session.cancel();
            equal(turn.get(60, TimeUnit.SECONDS).reason(), HappyFinish.Reason.CANCELLED);
            // A token of one's own, raised before the turn: the turn ends before it says anything.
            try (HappyCancel cancel = new HappyCancel()) {
                cancel.raise();
                int messages = session.messages().length();
                HappyFinish finish = session.chat(QUESTION, greedy(8).cancel(cancel).dropCancelled(true), null);
                equal(finish.reason(), HappyFinish.Reason.CANCELLED);
                equal(session.messages().length(), messages);
            }
            session.clear();
            equal(answer(session, greedy(TOKENS)), answer);
        } finally {
            thread.shutdown();
        }
    }

    @SuppressWarnings("try") // closed twice on purpose
    private void listenersStopAndThrow() {
        try (HappySession session = model.newSession()) {
            List<HappyEvent> events = new ArrayList<>();
            HappyFinish finish = session.chat(QUESTION, endless(), event -> {
                events.add(event);
                return event.kind() != HappyEvent.Kind.TEXT;
            });
            equal(finish.reason(), HappyFinish.Reason.CANCELLED);
            equal(events.get(events.size() - 1).kind(), HappyEvent.Kind.TEXT);
            RuntimeException[] thrown = {
                new IllegalStateException("mine"), new HappyException(HappyStatus.FILE, "mine too")
            };
            for (RuntimeException mine : thrown) {
                RuntimeException caught = null;
                try {
                    session.chat(QUESTION, endless(), event -> {
                        throw mine;
                    });
                } catch (RuntimeException e) {
                    caught = e;
                }
                that(caught == mine, "what the listener threw: " + caught);
                session.clear();
            }
            RuntimeException late = new IllegalStateException("closed, then thrown");
            RuntimeException caught = null;
            try {
                session.chat(QUESTION, endless(), event -> {
                    session.close();
                    throw late;
                });
            } catch (RuntimeException e) {
                caught = e;
            }
            that(caught == late, "what the listener threw: " + caught);
        }
    }

    private void closedUnderARunningTurn() throws Exception {
        ExecutorService thread = Executors.newSingleThreadExecutor();
        try {
            for (int i = 0; i < 5; i++) {
                HappySession session = model.newSession();
                CountDownLatch speaks = new CountDownLatch(1);
                Future<String> turn = thread.submit(() -> {
                    try {
                        HappyListener listener = event -> {
                            speaks.countDown();
                            return true;
                        };
                        return session.chat(QUESTION, endless(), listener).reason().name();
                    } catch (HappyException e) {
                        return e.status().name();
                    }
                });
                that(speaks.await(60, TimeUnit.SECONDS), "no event came");
                session.close();
                String end = turn.get(60, TimeUnit.SECONDS);
                // Within a call it ends as cancelled; between two calls the next one finds it closed.
                that(end.equals("CANCELLED") || end.equals("INVALID_HANDLE"), end);
            }
        } finally {
            thread.shutdown();
        }
    }

    private void twoSessionsAtOnce() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(2);
        try {
            List<Future<String>> answers = new ArrayList<>();
            for (int i = 0; i < 4; i++) {
                answers.add(threads.submit(() -> {
                    try (HappySession session = model.newSession()) {
                        return answer(session, greedy(TOKENS));
                    }
                }));
            }
            for (Future<String> found : answers) {
                equal(found.get(120, TimeUnit.SECONDS), answer);
            }
        } finally {
            threads.shutdown();
        }
    }

    private void conversation() throws Exception {
        HappySessionOptions options = new HappySessionOptions().system("Answer in one word.").templateVars("{\"x\": 1}");
        fails(HappyStatus.TEMPLATE, "no place for the variable `x`", () -> {
            try (HappySession session = model.newSession(options)) {
                session.chat(QUESTION, greedy(4), null);
            }
        });
        options.ignoreUnused(true);
        try (HappySession session = model.newSession(options)) {
            session.addMessage("user", QUESTION);
            session.addMessageJson("{\"role\": \"assistant\", \"content\": \"Paris\"}");
            String all = session.messages();
            that(all.contains("Answer in one word.") && all.contains("Paris"), all);
            session.truncate(2);
            that(!session.messages().contains("Paris"), session.messages());
            // The question is there already.
            HappyFinish finish = session.chat(null, greedy(4), null);
            that(finish.generatedTokens() > 0, finish.toString());
            session.clear();
            that(!session.messages().contains(QUESTION), session.messages());
            fails(HappyStatus.INVALID_ARGUMENT, "count: -1", () -> session.truncate(-1));
            fails(HappyStatus.INVALID_ARGUMENT, "", () -> session.truncate(99));
            fails(HappyStatus.INVALID_ARGUMENT, "", () -> session.addMessageJson("[]"));
        }
        fails(HappyStatus.INVALID_ARGUMENT, "tools", () -> model.newSession(new HappySessionOptions().tools("{}")));
        String messages = "[{\"role\": \"user\", \"content\": \"Hi\"}]";
        that(model.applyTemplate(messages, "", true).contains("Hi"), "template");
        that(model.info(true).contains("general.architecture"), "metadata");
        that(model.info(false).contains("\"architecture\""), "info");
        HappyPlan plan = model.plan();
        equal(plan.context(), 512);
        String line = plan.toString();
        that(line.startsWith("a context of 512 needs " + plan.anonBytes()) && line.endsWith("which fits"), line);
    }

    /** A model that says nothing of its own: grammars put the words into its mouth. */
    private void toolsAndThoughts() {
        HappySessionOptions options = new HappySessionOptions()
                .tools("[{\"type\": \"function\", \"function\": {\"name\": \"now\", \"parameters\": {\"type\": \"object\","
                        + " \"properties\": {\"zone\": {\"type\": \"string\"}}}}}]")
                // The template shows no tools.
                .ignoreUnused(true);
        try (HappyModel small = HappyModel.open(tiny); HappySession session = small.newSession(options)) {
            String call = "<tool_call>{\\\"name\\\": \\\"now\\\", \\\"arguments\\\": {\\\"zone\\\": \\\"UTC\\\"}}</tool_call>";
            List<String> heard = new ArrayList<>();
            StringBuilder arguments = new StringBuilder();
            HappyListener listener = event -> {
                if (event.kind() == HappyEvent.Kind.TOOL_CALL_ARGUMENTS) {
                    arguments.append(event.text());
                } else if (event.kind() != HappyEvent.Kind.PREFILL && !event.isDone()) {
                    heard.add(event.call() + " " + event);
                }
                return true;
            };
            HappyGenerateOptions forced = greedy(200).coalesceBytes(1000);
            // The grammar writes the calls.
            forced.toolChoice("none").grammar("root ::= \"<think>hm</think>One moment." + call + "\"");
            session.chat("What time is it?", forced, listener);
            equal(heard.toString(), "[-1 REASONING hm, -1 TEXT One moment., 0 TOOL_CALL_START now ,"
                    + " 0 TOOL_CALL now {\"zone\":\"UTC\"}]");
            that(arguments.toString().replace(" ", "").equals("{\"zone\":\"UTC\"}"), arguments.toString());
            heard.clear();
            session.addMessageJson("{\"role\": \"tool\", \"content\": \"noon\"}");
            session.chat(null, forced.grammar("root ::= \"Noon.<tool_call>{broken</tool_call>\""), listener);
            String last = heard.toString();
            that(last.contains("TEXT Noon.") && last.contains("MALFORMED_CALL "), last);
        }
    }

    private void grammarAndOptions() throws Exception {
        try (HappySession session = model.newSession()) {
            String said = answer(session, greedy(8).grammar("root ::= \"oui\" | \"non\""));
            that(said.equals("oui") || said.equals("non"), said);
            session.clear();
            fails(HappyStatus.GRAMMAR, "1", () -> answer(session, greedy(8).grammar("root = x")));
            fails(HappyStatus.GRAMMAR, "", () -> answer(session, greedy(8).jsonSchema("{\"type\": 3}")));
            fails(HappyStatus.INVALID_ARGUMENT, "", () -> answer(session, greedy(8).grammar("root ::= \"a\"").jsonSchema("{}")));
            HappySamplerOptions wrong = new HappySamplerOptions().topP(Float.NaN);
            fails(HappyStatus.INVALID_ARGUMENT, "top_p", () -> answer(session, greedy(8).sampler(wrong)));
            fails(HappyStatus.INVALID_ARGUMENT, "max_tokens: -5", () -> answer(session, greedy(-5)));
            // What was refused has changed nothing.
            equal(session.messages(), "[]");
            // A seed gives the same text again. A token that is forbidden does not come.
            HappySamplerOptions random = new HappySamplerOptions()
                    .seed(7).temperature(1.5f).topK(20).order("top_k;temperature")
                    .dryMultiplier(0.5f).dryBreakers("\n").bias(1, 0.5f);
            String first = answer(session, greedy(TOKENS).sampler(random));
            session.clear();
            equal(answer(session, greedy(TOKENS).sampler(random)), first);
            session.clear();
            HappySamplerOptions without = new HappySamplerOptions().temperature(0);
            without.bias(model.tokenize(answer, false)[0], Float.NEGATIVE_INFINITY);
            String other = answer(session, greedy(TOKENS).sampler(without));
            that(!other.isEmpty() && other.charAt(0) != answer.charAt(0), other);
            session.clear();
            List<HappyEvent> events = new ArrayList<>();
            String end = answer.substring(7, 11);
            HappyFinish stopped = session.chat(QUESTION, greedy(TOKENS).stop("\u0001", end), events::add);
            equal(stopped.reason(), HappyFinish.Reason.STOP_STRING);
            equal(textOf(events), answer.substring(0, answer.indexOf(end)));
            HappyFinish raw = session.chat("Once upon a time", greedy(3).raw(true), null);
            equal(raw.reason(), HappyFinish.Reason.LENGTH);
            equal(raw.generatedTokens(), 3L);
        }
    }

    private void textsOfAllKinds() throws Exception {
        int[] tokens = model.tokenize(EMOJI, false);
        equal(model.detokenize(tokens, false), EMOJI);
        StringBuilder pieces = new StringBuilder();
        for (int token : model.tokenize("plain text", false)) {
            pieces.append(new String(model.tokenPiece(token), StandardCharsets.UTF_8));
        }
        equal(pieces.toString(), "plain text");
        equal(model.tokenize("", false).length, 0);
        fails(HappyStatus.TOKENIZER, "", () -> model.tokenPiece(-1));
        fails(HappyStatus.TOKENIZER, "", () -> model.detokenize(new int[] {Integer.MAX_VALUE}, false));
        fails(HappyStatus.INVALID_ARGUMENT, "text: the char at index 3", () -> model.tokenize(HALF, false));
        fails(HappyStatus.INVALID_ARGUMENT, "index 0", () -> model.tokenize("\udd80\ud83e", false));
        fails(HappyStatus.INVALID_ARGUMENT, "path", () -> HappyModel.open(HALF));
        HappySessionOptions half = new HappySessionOptions().system(HALF);
        fails(HappyStatus.INVALID_ARGUMENT, "half of a surrogate pair", () -> model.newSession(half));
        HappySessionOptions quoted = new HappySessionOptions().system("\"\\\u0001\t\n" + EMOJI);
        try (HappySession session = model.newSession(quoted)) {
            fails(HappyStatus.INVALID_ARGUMENT, "index 3", () -> session.chat(HALF, greedy(1), null));
            session.chat(EMOJI, greedy(8), null);
            that(session.messages().contains("\ud83e\udd80"), session.messages());
            that(session.messages().contains("\\\"\\\\\\u0001\\t\\n"), session.messages());
        }
        // Longer than any buffer on the way.
        StringBuilder letters = new StringBuilder();
        for (int i = 0; i < 200_000; i++) {
            letters.append("\ud83e\udd80 ");
        }
        try (HappySession session = model.newSession()) {
            fails(HappyStatus.CONTEXT_FULL, "", () -> session.chat(letters.toString(), greedy(1), null));
            equal(session.messages(), "[]");
        }
    }

    private void nulls() throws Exception {
        fails(HappyStatus.INVALID_ARGUMENT, "path is null", () -> HappyModel.open(null));
        fails(HappyStatus.INVALID_ARGUMENT, "text is null", () -> model.tokenize(null, false));
        fails(HappyStatus.INVALID_ARGUMENT, "tokens is null", () -> model.detokenize(null, false));
        fails(HappyStatus.INVALID_ARGUMENT, "tools is null", () -> model.applyTemplate("[]", null, false));
        fails(HappyStatus.INVALID_ARGUMENT, "options is null", () -> Native.planFile(new byte[] {65}, null));
        fails(HappyStatus.INVALID_ARGUMENT, "no UTF-8 at byte 1", () -> Native.planFile(new byte[] {65, -1}, new byte[0]));
        fails(HappyStatus.INVALID_ARGUMENT, "system is null", () -> new HappySessionOptions().system(null));
    }

    private void fileDescriptor() throws Exception {
        long length = Files.size(Paths.get(file));
        equal(HappyModel.planFd(0, offset, length, small()).weightBytes() > 0, true);
        // Android's asset descriptors say -1 for "to the end".
        for (long len : new long[] {length, 0, -1}) {
            try (HappyModel part = HappyModel.openFd(0, offset, len, small());
                    HappySession session = part.newSession()) {
                equal(answer(session, greedy(TOKENS)), answer);
            }
        }
    }

    private void closed() throws Exception {
        HappyModel second = HappyModel.open(file, small());
        HappySession session = second.newSession();
        second.close();
        second.close();
        fails(HappyStatus.INVALID_HANDLE, "HappyModel is closed", () -> second.newSession());
        fails(HappyStatus.INVALID_HANDLE, "HappyModel is closed", () -> second.tokenize("a", false));
        // The session has all that it needs.
        equal(answer(session, greedy(TOKENS)), answer);
        session.close();
        session.close();
        fails(HappyStatus.INVALID_HANDLE, "HappySession is closed", () -> session.chat(QUESTION, greedy(1), null));
        fails(HappyStatus.INVALID_HANDLE, "HappySession is closed", session::next);
        session.cancel();
        session.stop();
        HappyCancel cancel = new HappyCancel();
        cancel.close();
        cancel.close();
        fails(HappyStatus.INVALID_HANDLE, "HappyCancel is closed", cancel::raise);
        fails(HappyStatus.INVALID_HANDLE, "HappyCancel is closed", () -> HappyModel.open(file, small().cancel(cancel)));
        equal(Happy.liveHandles(), 1L);
    }

    /** Below the interface, where nothing but the library itself checks. */
    private void invalidHandles() throws Exception {
        long cancel = Native.cancelNew();
        for (long handle : new long[] {0, 1, -1, 12345, Long.MIN_VALUE, cancel, cancel + (1L << 24)}) {
            fails(HappyStatus.INVALID_HANDLE, "", () -> Native.next(handle));
            fails(HappyStatus.INVALID_HANDLE, "", () -> Native.modelPlan(handle));
            fails(HappyStatus.INVALID_HANDLE, "", () -> Native.sessionFree(handle));
        }
        Native.cancelFree(cancel);
        fails(HappyStatus.INVALID_HANDLE, "", () -> Native.cancelRaise(cancel));
        fails(HappyStatus.INVALID_HANDLE, "", () -> Native.cancelFree(cancel));
        fails(HappyStatus.INVALID_HANDLE, "", () -> Native.openFile(new byte[] {65}, new byte[0], cancel, null));
    }

    private void loadAndClose() throws IOException {
        long before = 0;
        int warm = cycles / 5;
        for (int i = 0; i < cycles + warm; i++) {
            if (i == warm) {
                before = anonymous();
            }
            try (HappyModel loaded = HappyModel.open(file, small()); HappySession session = loaded.newSession()) {
                session.chat("Hi", greedy(2), null);
            }
        }
        long grown = (anonymous() - before) / 1024;
        System.out.println("RssAnon: " + before / 1024 + " KiB, grown by " + grown + " KiB in " + cycles + " cycles");
        // A model's tokenizer alone is some MiB: one that is lost each time is 100 times this.
        that(grown < 8 * 1024, "grown by " + grown + " KiB");
    }

    /** Bytes of anonymous memory of this process. */
    private static long anonymous() throws IOException {
        for (String line : Files.readAllLines(Paths.get("/proc/self/status"))) {
            if (line.startsWith("RssAnon:")) {
                return Long.parseLong(line.replaceAll("[^0-9]", "")) * 1024;
            }
        }
        throw new IOException("/proc/self/status has no RssAnon");
    }
}
