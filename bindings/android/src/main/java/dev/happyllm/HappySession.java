package dev.happyllm;

import java.util.Arrays;

/**
 * A conversation with its memory. It belongs to one caller at a time: a second thread gets {@link HappyStatus#BUSY}. Only
 * {@link #cancel} and {@link #close} may be called from everywhere.
 *
 * <p>Methods throw {@link HappyException}: with {@link HappyStatus#INVALID_ARGUMENT} if there is no such message, branch or
 * file, or if no branch is free, with {@link HappyStatus#FILE} if a file cannot be read or written.
 */
public final class HappySession implements AutoCloseable {
    /** What {@link #trim} gives back. Made from the C header by {@code cargo xtask options}. */
    public enum TrimLevel {
        // <HappyTrimLevel values>
        /** Buffers for computing. They are allocated again for the next token, and nothing is lost. */
        SCRATCH,
        /**
         * Snapshots. Conversations can continue, but in models with windows or recurrent layers, going back computes them
         * again. The memory stays with the process, for reuse.
         */
        SNAPSHOTS,
        /** Branches, including those that were pinned. The memory stays with the process, for reuse. */
        BRANCHES,
        /** The whole KV cache. */
        SEQUENCES,
        // </HappyTrimLevel values>
    }

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

    /**
     * Adds a message without answering it. {@code role} is {@code user}, {@code assistant}, {@code system},
     * {@code tool}, or another one that the template knows.
     */
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

    /** Returns the conversation, including the system message, as a JSON array of messages. */
    public String messages() {
        return Text.string(Native.sessionMessages(handle.get()));
    }

    /**
     * Keeps the first {@code count} messages, including the system message, and removes the others; the next turn
     * computes only what is new.
     */
    public void truncate(int count) {
        Native.sessionTruncate(handle.get(), count);
    }

    /**
     * Removes all messages except for the system message, forgets the branches, and empties the conversation's part of the
     * KV cache. The session's file stays as it is until the next turn.
     */
    public void clear() {
        Native.sessionClear(handle.get());
    }

    /**
     * Uses these adapters (LoRA) from now on, in the order in which their results are added; without any, the model
     * alone. Each is the path of a file, or {@code FILE=SCALE}. If the KV cache holds what was computed with other
     * adapters, the next turn computes it again. The ranks of the adapters together are at most
     * {@link HappyLoadOptions#adapterRank}. Files stay mapped, and no weight is copied.
     *
     * @throws HappyException the adapters are then as they were
     */
    public void setAdapters(String... adapters) {
        Native.sessionSetAdapters(handle.get(), Json.array("adapters", Arrays.asList(adapters)));
    }

    /**
     * Returns the tools that the last turn, or the one that runs, could not constrain, as a JSON array of objects with
     * {@code tool} (its name), {@code callable} and {@code reason}. If {@code callable} is false, the reply format
     * cannot carry one of the tool's names, and the model cannot call it. If it is true, no grammar can follow the
     * tool's schema, and its calls may have any arguments. Usually empty.
     */
    public String leftOut() {
        return Text.string(Native.sessionLeftOut(handle.get()));
    }

    /**
     * Writes the session into a new file ({@code *.happy}), which replaces one at the same path, and appends every turn
     * that ends from now on: its messages, its tokens and what was computed of them. If the process ends at any time,
     * the file has all turns that had ended, and an unfinished answer except for at most its last 32 tokens. It is
     * sealed with {@link HappySessionOptions#fileKey}. A turn that cannot be saved does not fail: {@link #file} says why
     * it was not saved, and the next turn tries again.
     */
    public void save(String path) {
        Native.sessionSave(handle.get(), Text.utf8("path", path));
    }

    /**
     * Continues with the conversation of a file instead of this one, and appends every turn to it. Nothing is computed:
     * the next turn answers with the same bits as if the process had never ended. Tools, variables and sampling are
     * those of this session. If the process ended within an answer ({@code unfinished} of {@link #file}), a turn without
     * a text returns that answer from its beginning and continues with the same text; if the options differ from those
     * that it was begun with, the message is answered again.
     *
     * @throws HappyException the conversation is then as it was; with {@link HappyStatus#REPLAY} {@link #replay} helps
     */
    public void restore(String path) {
        Native.sessionRestore(handle.get(), Text.utf8("path", path));
    }

    /**
     * Does the same as {@link #restore} for a file that was computed with something else, for example before an update
     * of the model: its tokens are computed again, and the file is rewritten. Don't call this on the main thread.
     *
     * @param cancel may be null; raised, it ends the call with {@link HappyStatus#CANCELLED}, and the file is as it was
     */
    public void replay(String path, HappyCancel cancel) {
        long token = cancel == null ? 0 : cancel.handle();
        Native.sessionReplay(handle.get(), Text.utf8("path", path), token);
    }

    /**
     * Saves what is new, as the end of a turn does: for messages that were added or removed between two turns, and to
     * try again after a full disk.
     */
    public void append() {
        Native.sessionAppend(handle.get());
    }

    /**
     * Rewrites the session's file without what later turns replaced. A file of more than 4 MiB, half of which was
     * replaced, is rewritten at the end of a turn.
     */
    public void compact() {
        Native.sessionCompact(handle.get());
    }

    /** Continues without the file, which stays as it is. {@link #close} does the same. */
    public void closeFile() {
        Native.sessionCloseFile(handle.get());
    }

    /**
     * Describes the session's file as a JSON object: {@code path}, {@code turns}, {@code tokens}, {@code messages},
     * {@code bytes}, {@code sealed}, {@code unfinished} (the number of tokens of an answer that was cut off, or 0), and
     * {@code problem}: why the last turn could not be saved, or null. Without a file, the object is empty.
     */
    public String file() {
        return Text.string(Native.sessionFile(handle.get()));
    }

    /**
     * Removes everything after the user's last message. A turn without a text then answers it again, and computes next to
     * nothing before the first token.
     */
    public void regenerate() {
        Native.sessionRegenerate(handle.get());
    }

    /**
     * Removes message {@code number} of the user, from 1 (0 is the last one), and everything after it, so that the next
     * turn can replace it. That turn computes only what follows the part that stays.
     */
    public void edit(int number) {
        Native.sessionEdit(handle.get(), number);
    }

    /**
     * Keeps the conversation as it is, continues in a copy, and returns the number of this new branch. The first
     * conversation has number 1. With {@link HappyLoadOptions#branches}, what was computed of them is kept, too.
     */
    public int branch() {
        return Native.sessionBranch(handle.get());
    }

    /** Keeps the conversation as it is, and switches to branch {@code number}, from 1. */
    public void goToBranch(int number) {
        Native.sessionGoToBranch(handle.get(), number);
    }

    /**
     * Keeps what is computed now, such as a long system prompt, until {@link #unpin}, even if memory for other branches
     * is short. It needs {@link HappyLoadOptions#branches}.
     */
    public void pin() {
        Native.sessionPin(handle.get());
    }

    /** Unpins everything, so that it can be dropped like the rest when memory for branches is short. */
    public void unpin() {
        Native.sessionUnpin(handle.get());
    }

    /** Returns how much the turns of the session did not have to compute. */
    public HappyReuse reuse() {
        return new HappyReuse(Native.sessionReuse(handle.get()));
    }

    /**
     * Gives memory back to the system: for an app that goes to the background, or is told that memory is short. The
     * conversation stays. After {@link TrimLevel#SEQUENCES}, the next turn reads what was computed from the session's
     * file; without a file, it computes it again.
     */
    public void trim(TrimLevel level) {
        Native.sessionTrim(handle.get(), level.ordinal());
    }

    /**
     * Describes what the governor decided last ({@link HappySessionOptions#governor}) as a JSON object: {@code threads},
     * {@code tokens_per_second} (the limit, or null), and {@code reason}. Without a governor, the object is empty.
     */
    public String governor() {
        return Text.string(Native.sessionGovernor(handle.get()));
    }

    /** Returns the memory of the session and of the process. */
    public HappyMemory memory() {
        return new HappyMemory(Native.sessionMemory(handle.get()));
    }

    /**
     * Runs a whole turn: adds {@code text} as the user's message, answers it, passes the events to {@code listener}
     * (which may be null), and adds the answer. It blocks: don't call it on the main thread.
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
     * Begins a turn as {@link #chat} does. {@link #next} returns its events, until the one that
     * {@link HappyEvent#isDone}. Until then, or until {@link #stop}, other calls for the session give
     * {@link HappyStatus#BUSY}, except for those that only return information.
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

    /**
     * Computes until there is an event, and returns it. After the last one, or an exception other than BUSY, the turn
     * is over.
     */
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
     * Ends a turn that {@link #start} began. Its remaining events are dropped. Without a turn, or after {@link #close},
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
