package dev.happyllm;

/** Receives how much of a model is loaded. */
public interface HappyProgress {
    /**
     * Called on the thread that loads. What it throws ends loading, and comes out of {@code open}.
     *
     * @param fraction from 0 to 1
     * @return false to give up, which throws {@link HappyStatus#CANCELLED}
     */
    boolean onProgress(float fraction);
}
