package dev.happyllm;

import java.util.Arrays;

/**
 * A conversation with its memory. It belongs to one caller at a time: a second thread gets {@link HappyStatus#BUSY}. Only
 * {@link #cancel} and {@link #close} may be called from everywhere.
 */
public final class HappySession implements AutoCloseable {
    private final Handle handle;

    /** Guards the next two. */
    private final Object turn = new Object();

    /** Ends the turn that runs; null between turns. */
    private HappyCancel cancel;

    /** Whether {@link #cancel} was made here. */
    private boolean cancelIsOurs;

    HappySession(long handle) {
        this.handle = new Handle("HappySession", handle);
    }

    /** Adds a message, without an answer: {@code role} is {@code user}, {@code assistant}, {@code system}, {@code tool}. */
    public void addMessage(String role, String content) {
        Native.sessionAdd(handle.get(), Text.utf8("role", role), Text.utf8("content", content));
    }

    /**
     * Adds a message as a JSON object, like a tool's result:
     * <code>{"role": "tool", "tool_call_id": "..", "content": ".."}</code>.
     */
    public void addMessageJson(String message) {
        Native.sessionAddJson(handle.get(), Text.utf8("message", message));
    }

    /** The conversation, the system message included, as a JSON array of messages. */
    public String messages() {
        return Text.string(Native.sessionMessages(handle.get()));
    }

    /** Keeps the first messages, the system message counted; the next turn computes only what is new. */
    public void truncate(int count) {
        Native.sessionTruncate(handle.get(), count);
    }

    /** Forgets the conversation but for the system message of the options, and all of the KV cache. */
    public void clear() {
        Native.sessionClear(handle.get());
    }

    /**
     * Goes on with these adapters (LoRA), each {@code FILE} or {@code FILE=SCALE}, in the order in which they are added; with none of
     * them: with the model alone. What was computed with others is computed again with the next turn. Their ranks together are at
     * most {@link HappyLoadOptions#adapterRank}. Files stay mapped, and no weight is copied.
     *
     * @throws HappyException the adapters are then as they were
     */
    public void setAdapters(String... adapters) {
        Native.sessionSetAdapters(handle.get(), Json.array("adapters", Arrays.asList(adapters)));
    }

    /**
     * The tools that the last turn, or the one that runs, could not constrain, as a JSON array of objects with {@code tool} (its
     * name), {@code callable} and {@code reason}. If {@code callable} is false, the reply format cannot carry one of the tool's names,
     * and the model cannot call it. If it is true, no grammar can follow the tool's schema, and its calls may have any arguments.
     * Mostly empty.
     */
    public String leftOut() {
        return Text.string(Native.sessionLeftOut(handle.get()));
    }

    /** What the session and the process take. */
    public HappyMemory memory() {
        return new HappyMemory(Native.sessionMemory(handle.get()));
    }

    /**
     * A whole turn: adds {@code text} as the user's message, answers it, tells {@code listener} (which may be null) what comes,
     * and adds the answer. It blocks: not for the main thread.
     *
     * @param text null: the messages are answered as they are, as after a tool's result
     * @return why it ended. That it was cancelled is no exception
     * @throws HappyException the conversation is then as it was before the turn
     */
    public HappyFinish chat(String text, HappyGenerateOptions options, HappyListener listener) {
        start(text, options);
        boolean heard = listener != null;
        boolean running = true;
        try {
            while (true) {
                // After an exception of `next` the turn is over; after one of the listener it is not.
                running = false;
                HappyEvent event = next();
                running = !event.isDone();
                if (heard && !listener.onEvent(event)) {
                    // The last event says what the turn took: it is waited for, and the listener hears nothing more.
                    heard = false;
                    cancel();
                }
                if (event.isDone()) {
                    return event.finish();
                }
            }
        } finally {
            if (running) {
                stop();
            }
        }
    }

    /**
     * Begins a turn as {@link #chat} does, to be read by {@link #next} until the event that {@link HappyEvent#isDone}. Until
     * then, or until {@link #stop}, other calls for the session give {@link HappyStatus#BUSY}.
     */
    public void start(String text, HappyGenerateOptions options) {
        byte[] said = text == null ? null : Text.utf8("text", text);
        boolean ours = options.cancel() == null;
        HappyCancel token = ours ? new HappyCancel() : options.cancel();
        try {
            synchronized (turn) {
                Native.start(handle.get(), said, options.utf8(), token.handle());
                // A turn ran if this thread stopped reading it: its token goes.
                endTurn();
                cancel = token;
                cancelIsOurs = ours;
                ours = false;
            }
        } finally {
            if (ours) {
                token.close();
            }
        }
    }

    /** Computes until there is an event, and gives it. After the last one, or an exception but BUSY, the turn is over. */
    public HappyEvent next() {
        HappyEvent event;
        try {
            event = HappyEvent.decode(Native.next(handle.get()));
        } catch (HappyException e) {
            if (e.status() != HappyStatus.BUSY) {
                endTurn();
            }
            throw e;
        }
        if (event.isDone()) {
            endTurn();
        }
        return event;
    }

    /**
     * Ends a turn that {@link #start} began; what is left of its events is dropped. Without a turn, or after {@link #close},
     * nothing happens.
     */
    public void stop() {
        long open = handle.peek();
        if (open != 0) {
            Native.stop(open);
            endTurn();
        }
    }

    /**
     * Ends the turn that runs, from any thread, and does not wait for it: its last event says
     * {@link HappyFinish.Reason#CANCELLED}. Without a turn, or after {@link #close}, nothing happens. If the turn's options
     * have a token, this raises it.
     */
    public void cancel() {
        synchronized (turn) {
            if (cancel != null) {
                cancel.raise();
            }
        }
    }

    private void endTurn() {
        synchronized (turn) {
            if (cancelIsOurs) {
                cancel.close();
            }
            cancel = null;
            cancelIsOurs = false;
        }
    }

    /** Frees the session. A turn that another thread runs ends by itself, as cancelled. Closing twice is fine. */
    @Override
    public void close() {
        long last = handle.take();
        if (last != 0) {
            Native.sessionFree(last);
            endTurn();
        }
    }
}
