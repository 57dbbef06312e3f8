package dev.happyllm;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CharsetEncoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * Texts between Java and the native library. They cross as UTF-8 in byte arrays: JNI's own strings are a modified UTF-8,
 * in which an emoji has six bytes, so the library would have to translate them.
 */
final class Text {
    private Text() {}

    /**
     * The UTF-8 of a text. Half of a surrogate pair has none, and is an error that says where it stands: the model would be
     * asked something else than the user sees.
     */
    static byte[] utf8(String what, String text) {
        CharBuffer chars = CharBuffer.wrap(text(what, text));
        CharsetEncoder encoder = StandardCharsets.UTF_8.newEncoder(); // reports what it cannot encode
        try {
            ByteBuffer bytes = encoder.encode(chars);
            byte[] exact = new byte[bytes.remaining()];
            bytes.get(exact);
            return exact;
        } catch (CharacterCodingException e) {
            String message = what + ": the char at index " + chars.position() + " is half of a surrogate pair";
            throw new HappyException(HappyStatus.INVALID_ARGUMENT, message, e);
        }
    }

    /** A text that is not null. */
    static String text(String what, String text) {
        if (text == null) {
            throw new HappyException(HappyStatus.INVALID_ARGUMENT, what + " is null, expected a text");
        }
        return text;
    }

    /** Texts that are not null. */
    static List<String> texts(String what, String... texts) {
        List<String> checked = new ArrayList<>();
        for (String text : texts) {
            checked.add(text(what, text));
        }
        return checked;
    }

    static String string(byte[] utf8) {
        return new String(utf8, StandardCharsets.UTF_8);
    }
}
