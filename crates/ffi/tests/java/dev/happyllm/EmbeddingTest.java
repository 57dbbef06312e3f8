package dev.happyllm;

import static dev.happyllm.Check.equal;
import static dev.happyllm.Check.fails;
import static dev.happyllm.Check.that;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/**
 * Embeddings, ranks, adapters and tools without a grammar, with tiny models. Arguments: a model with mean pooling and a classifier,
 * one with neither, an adapter of both, an adapter of another model.
 */
public final class EmbeddingTest {
    private static final int WIDTH = 64;
    private static final String CAT = "a small cat";
    private static final String CRAB = "\ud83e\udd80";

    private final String embedding;
    private final String plain;
    private final String adapter;
    private final String foreign;

    private EmbeddingTest(String[] args) {
        embedding = args[0];
        plain = args[1];
        adapter = args[2];
        foreign = args[3];
    }

    public static void main(String[] args) {
        Check check = new Check();
        EmbeddingTest test = new EmbeddingTest(args);
        check.run("vectors", test::vectors);
        check.run("options", test::options);
        check.run("long texts", test::longTexts);
        check.run("ranks", test::ranks);
        check.run("what is wrong", test::wrong);
        check.run("adapters", test::adapters);
        check.run("tools that are left out", test::leftOut);
        check.run("nothing is left", () -> equal(Happy.liveHandles(), 0L));
        System.exit(check.end());
    }

    private static HappyLoadOptions small(boolean embeddings, int context) {
        return new HappyLoadOptions()
                .threads(2)
                .context(context)
                .embeddings(embeddings)
                .adapterRank(3)
                .snapshotBytes(0);
    }

    private HappyModel model() {
        return HappyModel.open(embedding, small(true, 64));
    }

    private void vectors() {
        HappyEmbedder kept;
        List<HappyEmbedding> together;
        try (HappyModel model = model()) {
            kept = model.newEmbedder();
            that(kept.pooling() == HappyEmbedOptions.Pooling.MEAN, "pooling: " + kept.pooling());
            that(kept.width() == WIDTH && kept.mostTokens() == 64, "width and length");
            together = kept.embed(CAT, "", CRAB);
        }
        // The embedder has all that it needs.
        for (int i = 0; i < 3; i++) {
            HappyEmbedding found = together.get(i);
            HappyEmbedding alone = kept.embed(Arrays.asList(CAT, "", CRAB).get(i)).get(0);
            that(Arrays.equals(found.values(), alone.values()), "text " + i + " alone");
            that(found.values().length == WIDTH && found.width() == WIDTH, "values of text " + i);
            equal(found.tokens(), alone.tokens());
            equal(found.leftOut(), 0);
            that(Math.abs(found.cosine(found) - 1) < 1e-6, "the cosine with itself");
        }
        that(together.get(0).cosine(together.get(2)) < 0.9999, "texts differ");
        equal(kept.embed(Collections.emptyList(), null).size(), 0);
        kept.close();
        kept.close();
    }

    private void options() {
        try (HappyModel model = model()) {
            float[] all = vector(model, new HappyEmbedOptions().unnormalized(true));
            float[] cut = vector(model, new HappyEmbedOptions().unnormalized(true).dimensions(8));
            that(Arrays.equals(Arrays.copyOf(all, 8), cut), "the first dimensions");
            float[] one = vector(model, new HappyEmbedOptions());
            that(!Arrays.equals(all, one), "normalized");
            HappyEmbedOptions each = new HappyEmbedOptions().pooling(HappyEmbedOptions.Pooling.NONE);
            try (HappyEmbedder embedder = model.newEmbedder(each)) {
                HappyEmbedding found = embedder.embed(CAT).get(0);
                that(found.tokens() > 10, "tokens");
                equal(found.values().length, WIDTH * found.tokens());
            }
        }
    }

    private static float[] vector(HappyModel model, HappyEmbedOptions options) {
        try (HappyEmbedder embedder = model.newEmbedder(options)) {
            return embedder.embed(CAT).get(0).values();
        }
    }

    private void longTexts() throws Exception {
        String text = "a text of more bytes than sixteen";
        try (HappyModel model = HappyModel.open(embedding, small(true, 16))) {
            try (HappyEmbedder embedder = model.newEmbedder()) {
                fails(HappyStatus.CONTEXT_FULL, "text 1 has", () -> embedder.embed("short", text));
            }
            try (HappyEmbedder embedder = model.newEmbedder(new HappyEmbedOptions().truncate(true))) {
                HappyEmbedding found = embedder.embed("short", text).get(1);
                that(found.tokens() == 16 && found.leftOut() > 10, found.leftOut() + " left out");
            }
        }
    }

    private void ranks() throws Exception {
        List<String> documents = Arrays.asList("fish", "a stone", "", "fish");
        HappyEmbedOptions ranking = new HappyEmbedOptions().pooling(HappyEmbedOptions.Pooling.RANK);
        try (HappyModel model = model();
                HappyEmbedder embedder = model.newEmbedder(ranking);
                HappyEmbedder vectors = model.newEmbedder()) {
            List<HappyRank> ranks = embedder.rank("what do cats eat", documents, null);
            List<Integer> seen = new ArrayList<>();
            for (int i = 0; i < 4; i++) {
                HappyRank rank = ranks.get(i);
                seen.add(rank.index());
                that(i == 0 || ranks.get(i - 1).score() >= rank.score(), "order of " + ranks);
                float alone = embedder.rank("what do cats eat", documents.get(rank.index())).get(0).score();
                equal(rank.score(), alone);
            }
            Collections.sort(seen);
            equal(seen, Arrays.asList(0, 1, 2, 3));
            fails(HappyStatus.INVALID_ARGUMENT, "`rank`", () -> vectors.rank("x", "y"));
            fails(HappyStatus.INVALID_ARGUMENT, "query is null", () -> embedder.rank(null, "y"));
        }
    }

    private void wrong() throws Exception {
        try (HappyModel sessions = HappyModel.open(plain, small(false, 64));
                HappyModel silent = HappyModel.open(plain, small(true, 64))) {
            fails(HappyStatus.INVALID_ARGUMENT, "option `embeddings`", sessions::newEmbedder);
            fails(HappyStatus.INVALID_ARGUMENT, "pooling_type", silent::newEmbedder);
            fails(HappyStatus.INVALID_ARGUMENT, "cannot generate", silent::newSession);
            HappyEmbedOptions ranking = new HappyEmbedOptions().pooling(HappyEmbedOptions.Pooling.RANK);
            fails(HappyStatus.MODEL, "no classifier", () -> silent.newEmbedder(ranking));
        }
        try (HappyModel model = model(); HappyCancel cancel = new HappyCancel()) {
            HappyEmbedOptions wide = new HappyEmbedOptions().dimensions(65);
            fails(HappyStatus.INVALID_ARGUMENT, "65 dimensions", () -> model.newEmbedder(wide));
            HappyEmbedder embedder = model.newEmbedder();
            fails(HappyStatus.INVALID_ARGUMENT, "texts is null", () -> embedder.embed("a", null));
            fails(HappyStatus.INVALID_ARGUMENT, "surrogate", () -> embedder.embed("a\ud83e"));
            cancel.raise();
            fails(HappyStatus.CANCELLED, "", () -> embedder.embed(Arrays.asList("a"), cancel));
            cancel.lower();
            equal(embedder.embed(Arrays.asList("a"), cancel).size(), 1);
            embedder.close();
            fails(HappyStatus.INVALID_HANDLE, "HappyEmbedder is closed", () -> embedder.embed("a"));
            fails(HappyStatus.INVALID_HANDLE, "HappyEmbedder is closed", embedder::width);
        }
        long cancel = Native.cancelNew();
        byte[] none = {'[', ']'};
        for (long handle : new long[] {0, 1, -1, 12345, Long.MIN_VALUE, cancel}) {
            fails(HappyStatus.INVALID_HANDLE, "", () -> Native.embed(handle, none, 0));
            fails(HappyStatus.INVALID_HANDLE, "", () -> Native.rerank(handle, none, none, 0));
            fails(HappyStatus.INVALID_HANDLE, "", () -> Native.embedderInfo(handle));
            fails(HappyStatus.INVALID_HANDLE, "", () -> Native.embedderNew(handle, new byte[0]));
            fails(HappyStatus.INVALID_HANDLE, "", () -> Native.sessionLeftOut(handle));
            fails(HappyStatus.INVALID_HANDLE, "", () -> Native.sessionSetAdapters(handle, none));
        }
        Native.cancelFree(cancel);
    }

    /** The next turn computes again what other adapters had computed; what cannot be set leaves the adapters as they were. */
    private void adapters() throws Exception {
        HappyGenerateOptions raw = new HappyGenerateOptions().raw(true).maxTokens(1).ignoreEnd(true);
        try (HappyModel model = HappyModel.open(plain, small(false, 256));
                HappySession session = model.newSession()) {
            long whole = session.chat("Once upon", raw, null).promptTokens();
            equal(session.chat("Once upon", raw, null).promptTokens(), 1L);
            session.setAdapters(adapter + "=0.5");
            equal(session.chat("Once upon", raw, null).promptTokens(), whole);
            fails(HappyStatus.MODEL, "foreign.gguf", () -> session.setAdapters(adapter, foreign));
            fails(HappyStatus.INVALID_ARGUMENT, "rank", () -> session.setAdapters(adapter, adapter));
            fails(HappyStatus.FILE, "/nowhere.gguf", () -> session.setAdapters("/nowhere.gguf"));
            fails(HappyStatus.INVALID_ARGUMENT, "adapters is null", () -> session.setAdapters((String) null));
            equal(session.chat("Once upon", raw, null).promptTokens(), 1L);
            session.setAdapters();
            equal(session.chat("Once upon", raw, null).promptTokens(), whole);
        }
        // The same adapter from the beginning: the options take it, and one of another model is refused.
        HappyModel.open(plain, small(false, 256).adapters(adapter + "=0.5")).close();
        fails(HappyStatus.MODEL, "foreign.gguf", () -> HappyModel.open(plain, small(false, 256).adapters(foreign)));
    }

    private void leftOut() {
        String odd =
                "{\"name\": \"odd\", \"parameters\": {\"type\": \"object\", \"properties\": {\"a\": "
                        + "{\"type\": \"string\", \"pattern\": \"(?<=x)y\"}}}}";
        HappySessionOptions options =
                new HappySessionOptions().ignoreUnused(true).tools("[" + odd + ", {\"name\": \"now\"}]");
        try (HappyModel model = HappyModel.open(plain, small(false, 256));
                HappySession session = model.newSession(options)) {
            equal(session.leftOut(), "[]");
            session.chat("Hi", new HappyGenerateOptions().maxTokens(2), null);
            String found = session.leftOut();
            that(found.contains("\"tool\":\"odd\"") && found.contains("\"callable\":true"), found);
            that(!found.contains("now"), found);
            session.chat("Hi", new HappyGenerateOptions().maxTokens(2).toolChoice("none"), null);
            equal(session.leftOut(), "[]");
        }
    }
}
