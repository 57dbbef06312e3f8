package dev.happyllm;

/** How to generate. What is not set takes the library's default. */
public final class HappyGenerateOptions {
    private final Json json = new Json();
    private HappyCancel cancel;

    // <HappyGenerateOptions setters>
    /** Maximum number of generated tokens. 0, the default: until the context is full. */
    public HappyGenerateOptions maxTokens(int value) {
        json.put("max_tokens", value);
        return this;
    }

    /** How tokens are chosen. Not set: the defaults. */
    public HappyGenerateOptions sampler(HappySamplerOptions value) {
        json.put("sampler", value.json());
        return this;
    }

    /** Texts that end the answer and are not part of it. */
    public HappyGenerateOptions stop(String... values) {
        json.put("stop", Text.texts("stop", values));
        return this;
    }

    /** A GBNF grammar that the text must match. Empty: any text. */
    public HappyGenerateOptions grammar(String value) {
        json.put("grammar", Text.text("grammar", value));
        return this;
    }

    /** A JSON schema that the text must match. Empty: any text. Not together with a grammar. */
    public HappyGenerateOptions jsonSchema(String value) {
        json.put("json_schema", Text.text("jsonSchema", value));
        return this;
    }

    /**
     * Deliver text when this many milliseconds have passed since the last text event. 0, the default: never because of
     * time.
     */
    public HappyGenerateOptions coalesceMillis(int value) {
        json.put("coalesce_ms", value);
        return this;
    }

    /**
     * Deliver text when this many bytes of UTF-8 have come. 0, the default: never because of size. If both are 0, text is
     * delivered at once.
     */
    public HappyGenerateOptions coalesceBytes(int value) {
        json.put("coalesce_bytes", value);
        return this;
    }

    /** True: continue the text as it is, without template and conversation. False, the default: answer a message. */
    public HappyGenerateOptions raw(boolean value) {
        json.put("raw", value);
        return this;
    }

    /**
     * True: take the whole turn back when it is cancelled. False, the default: keep what was answered as the assistant's
     * message.
     */
    public HappyGenerateOptions dropCancelled(boolean value) {
        json.put("drop_cancelled", value);
        return this;
    }

    /** True: continue when the model wants to end its answer. False, the default: end there. */
    public HappyGenerateOptions ignoreEnd(boolean value) {
        json.put("ignore_end", value);
        return this;
    }

    /**
     * Whether the model calls tools: {@code auto} (it decides), {@code none}, {@code required} (at least one call), or the
     * name of a tool (at least one call, all of this tool). Empty: {@code auto}. Not used with {@code raw}.
     */
    public HappyGenerateOptions toolChoice(String value) {
        json.put("tool_choice", Text.text("toolChoice", value));
        return this;
    }
    // </HappyGenerateOptions setters>

    /** Ends the turn early, besides {@link HappySession#cancel}; null: nothing else does. */
    public HappyGenerateOptions cancel(HappyCancel cancel) {
        this.cancel = cancel;
        return this;
    }

    byte[] utf8() {
        return json.utf8();
    }

    HappyCancel cancel() {
        return cancel;
    }
}
