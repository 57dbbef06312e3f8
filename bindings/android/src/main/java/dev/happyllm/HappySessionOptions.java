package dev.happyllm;

/** What a session begins with. */
public final class HappySessionOptions {
    private final Json json = new Json();

    /** The system message. */
    public HappySessionOptions system(String text) {
        json.put("system", Text.text("system", text));
        return this;
    }

    /** A JSON array of tools that the model may call, as its template takes them (mostly OpenAI's form). */
    public HappySessionOptions tools(String jsonArray) {
        json.put("tools", Text.text("tools", jsonArray));
        return this;
    }

    /** A JSON object with more variables for the template, like <code>{"enable_thinking": false}</code>. */
    public HappySessionOptions templateVars(String jsonObject) {
        json.put("template_vars", Text.text("templateVars", jsonObject));
        return this;
    }

    /**
     * Answer although the chat template has no place for the system message, the tools or a variable, which the model then
     * never sees. Default: false, such a turn fails.
     */
    public HappySessionOptions ignoreUnused(boolean ignore) {
        json.put("ignore_unused", ignore);
        return this;
    }

    byte[] utf8() {
        return json.utf8();
    }
}
