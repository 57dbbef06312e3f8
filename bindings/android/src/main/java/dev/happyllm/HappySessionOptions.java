package dev.happyllm;

/** What a session begins with. */
public final class HappySessionOptions {
    private final Json json = new Json();

    // <HappySessionOptions setters>
    /**
     * True: answer even if the chat template has no place for the system message, the tools or a variable, which the model
     * then never sees. False, the default: such a turn fails with {@link HappyStatus#TEMPLATE}.
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
     * A JSON object with additional variables for the template, such as {@code {"enable_thinking": false}}. Empty: no
     * variables.
     */
    public HappySessionOptions templateVars(String value) {
        json.put("template_vars", Text.text("templateVars", value));
        return this;
    }

    /**
     * What happens when the messages leave too little of the context for an answer: {@code stop} (the turn fails with
     * {@link HappyStatus#CONTEXT_FULL}), {@code drop-oldest} (the prompt leaves the oldest turns out; {@link
     * HappySession#reuse} tells how many messages), or {@code shift} (as {@code drop-oldest}, and an answer that fills the
     * context goes on without the older half of it: its text differs from then on; {@link HappySession#reuse} tells how
     * many tokens). Empty: {@code stop}.
     */
    public HappySessionOptions contextPolicy(String value) {
        json.put("context_policy", Text.text("contextPolicy", value));
        return this;
    }

    /**
     * Key that seals the session's files (XChaCha20-Poly1305): 32 random bytes as 64 hexadecimal digits. Empty: files are
     * not sealed.
     */
    public HappySessionOptions fileKey(String value) {
        json.put("file_key", Text.text("fileKey", value));
        return this;
    }

    /**
     * Lets a governor choose the number of threads, up to those of the plan, and the pace, by measured speed and what the
     * system and {@link Happy#reportDevice} tell of heat: {@code fastest} (as fast as the device can sustain), {@code
     * rate=8} (at most 8 tokens per second, with little energy; 0.01 to 1,000,000) or {@code energy=0.3} (up to 30%
     * slower, to save energy; 0 to 0.9). The words don't depend on it. Empty: all threads, without pauses.
     */
    public HappySessionOptions governor(String value) {
        json.put("governor", Text.text("governor", value));
        return this;
    }

    /**
     * Path of a file in which the governor keeps measured speeds, so that the next session begins with them. Empty: each
     * session measures during its first answer, for a second or two.
     */
    public HappySessionOptions governorCache(String value) {
        json.put("governor_cache", Text.text("governorCache", value));
        return this;
    }
    // </HappySessionOptions setters>

    byte[] utf8() {
        return json.utf8();
    }
}
