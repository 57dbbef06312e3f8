package dev.happyllm;

/** How to generate. What is not set takes the library's default. */
public final class HappyGenerateOptions {
    private final Json json = new Json();
    private HappyCancel cancel;

    /** Most tokens; 0: until the context is full. */
    public HappyGenerateOptions maxTokens(int tokens) {
        json.put("max_tokens", tokens);
        return this;
    }

    /** How tokens are chosen. */
    public HappyGenerateOptions sampler(HappySamplerOptions options) {
        json.put("sampler", options.json());
        return this;
    }

    /** Ends the turn early, besides {@link HappySession#cancel}; null: nothing else does. */
    public HappyGenerateOptions cancel(HappyCancel cancel) {
        this.cancel = cancel;
        return this;
    }

    /** Texts that end the answer and are no part of it. */
    public HappyGenerateOptions stop(String... texts) {
        json.put("stop", Text.texts("stop", texts));
        return this;
    }

    /** A GBNF grammar that the text must match. */
    public HappyGenerateOptions grammar(String gbnf) {
        json.put("grammar", Text.text("grammar", gbnf));
        return this;
    }

    /** A JSON schema that the text must match. Not together with a grammar. */
    public HappyGenerateOptions jsonSchema(String schema) {
        json.put("json_schema", Text.text("jsonSchema", schema));
        return this;
    }

    /**
     * Whether the model calls tools: <code>auto</code> (it decides, the default), <code>none</code>, <code>required</code>
     * (at least one call), or the name of a tool (at least one call, all of this tool).
     */
    public HappyGenerateOptions toolChoice(String choice) {
        json.put("tool_choice", Text.text("toolChoice", choice));
        return this;
    }

    /** Text comes when so many milliseconds have passed since the last event of text; 0: this is no reason. */
    public HappyGenerateOptions coalesceMillis(int millis) {
        json.put("coalesce_ms", millis);
        return this;
    }

    /** Text comes when so many bytes of UTF-8 are there; 0: this is no reason. Both 0: as soon as there is text. */
    public HappyGenerateOptions coalesceBytes(int bytes) {
        json.put("coalesce_bytes", bytes);
        return this;
    }

    /** The text is continued as it is, without template and conversation. */
    public HappyGenerateOptions raw(boolean raw) {
        json.put("raw", raw);
        return this;
    }

    /** When the turn is cancelled: false keeps what was answered, true takes the whole turn back. */
    public HappyGenerateOptions dropCancelled(boolean drop) {
        json.put("drop_cancelled", drop);
        return this;
    }

    /** Go on when the model wants to end. */
    public HappyGenerateOptions ignoreEnd(boolean ignore) {
        json.put("ignore_end", ignore);
        return this;
    }

    byte[] utf8() {
        return json.utf8();
    }

    HappyCancel cancel() {
        return cancel;
    }
}
