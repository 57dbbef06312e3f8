package dev.happyllm;

import java.util.Arrays;
import java.util.List;

/**
 * Turns texts into vectors, or ranks documents, with a model that was loaded with {@link HappyLoadOptions#embeddings}. It belongs
 * to one caller at a time: a second thread gets {@link HappyStatus#BUSY}. Its calls block: not for the main thread.
 */
public final class HappyEmbedder implements AutoCloseable {
    private final Handle handle;

    HappyEmbedder(long handle) {
        this.handle = new Handle("HappyEmbedder", handle);
    }

    /** The vectors of texts, in their order. */
    public List<HappyEmbedding> embed(String... texts) {
        return embed(Arrays.asList(texts), null);
    }

    /**
     * Returns the vectors of texts, in their order. As many as fit are computed together; a vector does not depend on
     * the other texts.
     *
     * @param cancel ends it early; null: nothing does
     * @throws HappyException with {@link HappyStatus#CONTEXT_FULL} if a text has more tokens than {@link #mostTokens} and may not
     *     be truncated, with {@link HappyStatus#INVALID_ARGUMENT} if it has none, with {@link HappyStatus#CANCELLED} if
     *     {@code cancel} is raised
     */
    public List<HappyEmbedding> embed(List<String> texts, HappyCancel cancel) {
        byte[] list = Json.array("texts", texts);
        return HappyEmbedding.decode(Native.embed(handle.get(), list, cancel == null ? 0 : cancel.handle()));
    }

    /** Documents by how well they match a query, best first. */
    public List<HappyRank> rank(String query, String... documents) {
        return rank(query, Arrays.asList(documents), null);
    }

    /**
     * Documents by how well they match a query, best first; of equal scores the earlier document comes first. It needs a model with
     * a classifier and {@link HappyEmbedOptions.Pooling#RANK}.
     *
     * @param cancel ends it early; null: nothing does
     * @throws HappyException as {@link #embed(List, HappyCancel)}
     */
    public List<HappyRank> rank(String query, List<String> documents, HappyCancel cancel) {
        byte[] asked = Text.utf8("query", query);
        byte[] list = Json.array("documents", documents);
        long raised = cancel == null ? 0 : cancel.handle();
        return HappyRank.decode(Native.rerank(handle.get(), asked, list, raised));
    }

    /** How hidden states become vectors; never {@link HappyEmbedOptions.Pooling#MODEL}. */
    public HappyEmbedOptions.Pooling pooling() {
        return HappyEmbedOptions.Pooling.values()[(int) info()[0]];
    }

    /** Values of a vector. */
    public int width() {
        return (int) info()[1];
    }

    /** Maximum number of tokens of a text. */
    public int mostTokens() {
        return (int) info()[2];
    }

    private long[] info() {
        return Native.embedderInfo(handle.get());
    }

    /**
     * Frees the embedder. A call that is still running in another thread continues to its end. Closing twice is fine.
     */
    @Override
    public void close() {
        long last = handle.take();
        if (last != 0) {
            Native.embedderFree(last);
        }
    }
}
