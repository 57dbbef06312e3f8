package dev.happyllm;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Writes a JSON object, the form in which options go to the native library. Only what was set is written, and of what was
 * set twice the last: everything else takes the library's default. The library names a key that it does not know.
 */
final class Json {
    private final Map<String, String> fields = new LinkedHashMap<>();

    void put(String key, long value) {
        fields.put(key, Long.toString(value));
    }

    void put(String key, boolean value) {
        fields.put(key, Boolean.toString(value));
    }

    void put(String key, float value) {
        fields.put(key, number(value));
    }

    void put(String key, String value) {
        fields.put(key, quote(value));
    }

    void put(String key, List<String> values) {
        fields.put(key, array(values));
    }

    /** Texts that are not null as a JSON array in UTF-8. */
    static byte[] array(String what, List<String> texts) {
        return Text.utf8(what, array(Text.texts(what, texts.toArray(new String[0]))));
    }

    private static String array(List<String> values) {
        StringBuilder out = new StringBuilder("[");
        for (String value : values) {
            separate(out).append(quote(value));
        }
        return out.append(']').toString();
    }

    /** Pairs of token and bias. Minus infinity, which forbids a token, is written as null. */
    void put(String key, Map<Integer, Float> biases) {
        StringBuilder out = new StringBuilder("[");
        for (Map.Entry<Integer, Float> bias : biases.entrySet()) {
            String value = bias.getValue() == Float.NEGATIVE_INFINITY ? "null" : number(bias.getValue());
            separate(out).append('[').append(bias.getKey()).append(',').append(value).append(']');
        }
        fields.put(key, out.append(']').toString());
    }

    /** An object in the object, as it is now. */
    void put(String key, Json value) {
        fields.put(key, value.toString());
    }

    byte[] utf8() {
        return Text.utf8("options", toString());
    }

    @Override
    public String toString() {
        StringBuilder out = new StringBuilder("{");
        for (Map.Entry<String, String> field : fields.entrySet()) {
            separate(out).append(quote(field.getKey())).append(':').append(field.getValue());
        }
        return out.append('}').toString();
    }

    private static StringBuilder separate(StringBuilder out) {
        return out.length() > 1 ? out.append(',') : out;
    }

    /** JSON has no numbers that are not finite: those become texts, which the library refuses by the key's name. */
    private static String number(float value) {
        String text = Float.toString(value);
        return Float.isNaN(value) || Float.isInfinite(value) ? quote(text) : text;
    }

    private static String quote(String text) {
        StringBuilder out = new StringBuilder("\"");
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < ' ') {
                out.append("\\u00").append(c < 16 ? '0' : '1').append(Character.forDigit(c & 15, 16));
            } else {
                out.append(c);
            }
        }
        return out.append('"').toString();
    }
}
