package dev.happyllm;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * Something that happened in a turn.
 *
 * <p>It comes from the native library as one array, so that an event is one call (little-endian):
 *
 * <pre>
 * DONE:    kind i32 | finish: reason i32, 3 counts i64, 2 times f64, 2 rates f64
 * others:  kind i32 | call i32 | done i64 | total i64 | bytes of text, name, id: 3 x i32 | text, name, id as UTF-8
 * </pre>
 */
public final class HappyEvent {
    /** What an event tells, by its methods. Made from the C header by {@code cargo xtask options}. */
    public enum Kind {
        // <HappyEvent values>
        /**
         * {@code done} of the {@code total} prompt tokens are computed. Comes after each part of a long prompt; the last
         * one has {@code done} equal to {@code total}.
         */
        PREFILL,
        /** {@code text} is the next piece of the answer. */
        TEXT,
        /** {@code text} is the next piece of what the model thinks before it answers. */
        REASONING,
        /** The model begins to call tool {@code name}; it is call number {@code call}, from 0. */
        TOOL_CALL_START,
        /**
         * {@code text} is the next piece of the arguments of call {@code call}, as JSON: for callers that show them while
         * they arrive.
         */
        TOOL_CALL_ARGUMENTS,
        /**
         * Call {@code call} is complete: tool {@code name}, arguments {@code text} (a JSON object), and {@code id} if the
         * model wrote one.
         */
        TOOL_CALL,
        /**
         * A text that looked like a call is not a valid call; {@code text} says why. It follows as part of the answer. If
         * call {@code call} had started, it is withdrawn.
         */
        MALFORMED_CALL,
        /** The end of the turn: {@code finish} says why. */
        DONE,
        // </HappyEvent values>
    }

    private static final Kind[] KINDS = Kind.values();

    private final Kind kind;
    private final int call;
    private final long done;
    private final long total;
    private final String text;
    private final String name;
    private final String id;
    private final HappyFinish finish;

    private HappyEvent(Kind kind, ByteBuffer in) {
        this.kind = kind;
        if (kind == Kind.DONE) {
            finish = new HappyFinish(in);
            call = -1;
            done = 0;
            total = 0;
            text = "";
            name = "";
            id = "";
            return;
        }
        finish = null;
        call = in.getInt();
        done = in.getLong();
        total = in.getLong();
        int[] lengths = {in.getInt(), in.getInt(), in.getInt()};
        text = take(in, lengths[0]);
        name = take(in, lengths[1]);
        id = take(in, lengths[2]);
    }

    static HappyEvent decode(byte[] bytes) {
        ByteBuffer in = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        return new HappyEvent(KINDS[in.getInt()], in);
    }

    private static String take(ByteBuffer in, int length) {
        String text = new String(in.array(), in.position(), length, StandardCharsets.UTF_8);
        in.position(in.position() + length);
        return text;
    }

    /** What the event tells. */
    public Kind kind() {
        return kind;
    }

    /** Whether it is the last one of its turn. */
    public boolean isDone() {
        return kind == Kind.DONE;
    }

    /** The call's number, from 0; -1 without a call. */
    public int call() {
        return call;
    }

    /** {@link Kind#PREFILL}: tokens that are computed. */
    public long done() {
        return done;
    }

    /** {@link Kind#PREFILL}: tokens of the prompt that have to be computed. */
    public long total() {
        return total;
    }

    /** Text, as the kind says, or empty. It holds whole characters only. */
    public String text() {
        return text;
    }

    /** The tool's name, or empty. */
    public String name() {
        return name;
    }

    /** The id that the model gave a call; usually empty. */
    public String id() {
        return id;
    }

    /** {@link Kind#DONE}: why the turn ended, and what it took. Else null. */
    public HappyFinish finish() {
        return finish;
    }

    @Override
    public String toString() {
        switch (kind) {
            case DONE:
                return kind + " " + finish;
            case PREFILL:
                return kind + " " + done + "/" + total;
            default:
                return kind + " " + name + (name.isEmpty() ? "" : " ") + text;
        }
    }
}
