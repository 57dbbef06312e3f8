//! How a call ended, by what its caller can do.

/// How a call ended, by what the caller can do about it. The error's message says what, where, expected and found.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The call succeeded.
    Ok = 0,
    /// An argument or option is wrong: fix the call.
    InvalidArgument = 1,
    /// The handle is null, of another kind, or was freed: fix the program.
    InvalidHandle = 2,
    /// The session or embedder is in use by another call, or the session has a turn that was not read to its end: wait,
    /// or stop the turn.
    Busy = 3,
    /// The cancel token was raised, or the progress callback returned 0.
    Cancelled = 4,
    /// The file or file descriptor cannot be read or written: check the path, the permissions, the offset and the free
    /// space.
    File = 5,
    /// The file is not a GGUF model, is damaged, or its architecture is not supported: another file is needed.
    Model = 6,
    /// The plan is over the budget, or the system refused memory: plan for less, as the message says.
    Memory = 7,
    /// The conversation, the text or the session's file does not fit the context: shorten it, or load with a larger
    /// context.
    ContextFull = 8,
    /// The model has no chat template, or its template refuses the messages.
    Template = 9,
    /// The grammar or JSON schema is wrong; the message has the line and column, if there are any.
    Grammar = 10,
    /// The file has no tokenizer, the text cannot be tokenized, or a token id is outside the vocabulary.
    Tokenizer = 11,
    /// Not supported yet, by this version or on this machine.
    Unsupported = 12,
    /// The system refused something else, such as a thread.
    System = 13,
    /// An error of this library, which was contained: please report it. The session or embedder in which it happened must
    /// be freed.
    Internal = 14,
    /// The session's file is damaged, of another version, sealed with another key, or its token ids mean something else
    /// here. Another file or key is needed.
    SessionFile = 15,
    /// The session's file was computed with another model, adapter, kind of KV cache or version of the library, with the same
    /// vocabulary: `happy_session_replay` computes its tokens again.
    Replay = 16,
}
