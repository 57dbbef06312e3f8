package dev.happyllm;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/** What a text became. */
public final class HappyEmbedding {
    private final int tokens;
    private final int leftOut;
    private final int width;
    private final float[] values;

    private HappyEmbedding(ByteBuffer in, int width) {
        this.width = width;
        tokens = in.getInt();
        leftOut = in.getInt();
        values = new float[in.getInt()];
        in.asFloatBuffer().get(values);
        in.position(in.position() + 4 * values.length);
    }

    /** Reads what the native library's {@code jni/embed.rs} writes. */
    static List<HappyEmbedding> decode(byte[] record) {
        ByteBuffer in = ByteBuffer.wrap(record).order(ByteOrder.LITTLE_ENDIAN);
        int width = in.getInt();
        List<HappyEmbedding> texts = new ArrayList<>();
        while (in.hasRemaining()) {
            texts.add(new HappyEmbedding(in, width));
        }
        return texts;
    }

    /** Tokens that were computed. */
    public int tokens() {
        return tokens;
    }

    /** Tokens that were left out, because the text is too long. */
    public int leftOut() {
        return leftOut;
    }

    /** Values of a vector. */
    public int width() {
        return width;
    }

    /**
     * The text's vector, which is the caller's to change; with {@link HappyEmbedOptions.Pooling#NONE} those of its tokens, one
     * after the other.
     */
    public float[] values() {
        return values;
    }

    /** The cosine with another vector of the same width: 1 if they have the same direction, 0 if one of them is all zeros. */
    public double cosine(HappyEmbedding other) {
        if (values.length != other.values.length) {
            String message =
                    "the embeddings have " + values.length + " and " + other.values.length + " values, expected equal numbers";
            throw new HappyException(HappyStatus.INVALID_ARGUMENT, message);
        }
        double lengths = Math.sqrt(dot(values, values) * dot(other.values, other.values));
        return lengths > 0 ? dot(values, other.values) / lengths : 0;
    }

    private static double dot(float[] a, float[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += (double) a[i] * b[i];
        }
        return sum;
    }
}
