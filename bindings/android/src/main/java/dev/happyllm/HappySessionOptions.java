package dev.happyllm;

/** What a session begins with. */
public final class HappySessionOptions {
    private final Json json = new Json();

    // <HappySessionOptions setters>
    /**
     * True: answer although the chat template has no place for the system message, the tools or a variable, which the
     * model then never sees. False: such a turn fails with {@code HAPPY_TEMPLATE}.
     */
    public HappySessionOptions ignoreUnused(boolean value) {
        json.put("ignore_unused", value);
        return this;
    }

    /** The system message. Empty: no system message. */
    public HappySessionOptions system(String value) {
        json.put("system", Text.text("system", value));
        return this;
    }

    /**
     * A JSON array of tools that the model may call, as its template takes them (mostly OpenAI's form). Empty: no tools.
     */
    public HappySessionOptions tools(String value) {
        json.put("tools", Text.text("tools", value));
        return this;
    }

    /**
     * A JSON object with more variables for the template, like {@code {"enable_thinking": false}}. Empty: no variables.
     */
    public HappySessionOptions templateVars(String value) {
        json.put("template_vars", Text.text("templateVars", value));
        return this;
    }
    // </HappySessionOptions setters>

    byte[] utf8() {
        return json.utf8();
    }
}
