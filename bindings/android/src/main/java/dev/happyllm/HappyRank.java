package dev.happyllm;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/** How well a document matches a query. */
public final class HappyRank {
    private final int index;
    private final float score;

    private HappyRank(ByteBuffer in) {
        index = in.getInt();
        score = in.getFloat();
    }

    /** Reads what the native library's {@code jni/embed.rs} writes. */
    static List<HappyRank> decode(byte[] record) {
        ByteBuffer in = ByteBuffer.wrap(record).order(ByteOrder.LITTLE_ENDIAN);
        List<HappyRank> ranks = new ArrayList<>();
        while (in.hasRemaining()) {
            ranks.add(new HappyRank(in));
        }
        return ranks;
    }

    /** The document's place in what was given, from 0. */
    public int index() {
        return index;
    }

    /** The model's score, the higher the better; its scale is the model's own. */
    public float score() {
        return score;
    }

    @Override
    public String toString() {
        return index + ": " + score;
    }
}
