/// What can go wrong, by what a caller can do about it.
library;

import 'bindings.dart' as c;

/// Why a call failed.
enum HappyStatus {
  /// An argument or option is wrong: fix the call.
  invalidArgument(c.HappyStatus.HAPPY_INVALID_ARGUMENT),

  /// The model, session or token was disposed of.
  invalidHandle(c.HappyStatus.HAPPY_INVALID_HANDLE),

  /// The session has a turn that has not ended, or the embedder is in use by another call: wait for it, or stop it.
  busy(c.HappyStatus.HAPPY_BUSY),

  /// The cancel token was raised.
  cancelled(c.HappyStatus.HAPPY_CANCELLED),

  /// The file cannot be read or written.
  file(c.HappyStatus.HAPPY_FILE),

  /// The file is not a GGUF model, is damaged, or its architecture is not supported.
  model(c.HappyStatus.HAPPY_MODEL),

  /// The plan is over the budget, or the system refused memory; the message says what would fit.
  memory(c.HappyStatus.HAPPY_MEMORY),

  /// The conversation, the text or the session's file does not fit the context.
  contextFull(c.HappyStatus.HAPPY_CONTEXT_FULL),

  /// The model has no chat template, or its template refuses the messages.
  template(c.HappyStatus.HAPPY_TEMPLATE),

  /// The grammar or JSON schema is wrong.
  grammar(c.HappyStatus.HAPPY_GRAMMAR),

  /// The file has no tokenizer, the text cannot be tokenized, or a token id is outside the vocabulary.
  tokenizer(c.HappyStatus.HAPPY_TOKENIZER),

  /// Not supported yet, by this version or on this machine.
  unsupported(c.HappyStatus.HAPPY_UNSUPPORTED),

  /// The system refused something else, such as a thread.
  system(c.HappyStatus.HAPPY_SYSTEM),

  /// An error of the library, which was contained. The session in which it happened must be disposed of.
  internal(c.HappyStatus.HAPPY_INTERNAL),

  /// The session's file is damaged, of another version, sealed with another key, or its token ids mean something else here.
  sessionFile(c.HappyStatus.HAPPY_SESSION_FILE),

  /// The session's file was computed with another model, adapter, kind of KV cache or version of the library, with the same
  /// vocabulary: [HappySession.replay] computes its tokens again.
  replay(c.HappyStatus.HAPPY_REPLAY),

  /// A status of a newer library, or an error outside of it.
  other(-1);

  const HappyStatus(this.code);

  /// The number of the status in C.
  final int code;

  /// The status with this number in C.
  static HappyStatus fromCode(int code) => values.firstWhere((status) => status.code == code, orElse: () => other);
}

/// A call that failed.
final class HappyException implements Exception {
  /// A failure with its [status] and a [message] that says what, where, expected and found.
  const HappyException(this.status, this.message);

  /// What the caller can do.
  final HappyStatus status;

  /// What went wrong.
  final String message;

  @override
  String toString() => 'HappyException(${status.name}): $message';
}

/// [error] as something that every isolate can receive.
HappyException sendable(Object error) =>
    error is HappyException ? error : HappyException(HappyStatus.other, error.toString());
