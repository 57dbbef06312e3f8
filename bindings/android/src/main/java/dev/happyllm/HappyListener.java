package dev.happyllm;

/** Receives the events of a turn. */
public interface HappyListener {
    /**
     * Called on the thread that called {@link HappySession#chat}. What it throws ends the turn, and comes out of
     * {@code chat}.
     *
     * @return false to end the turn
     */
    boolean onEvent(HappyEvent event);
}
