/// What a session and its isolate say to each other. Everything here can be sent between isolates: numbers, texts, ports.
///
/// ```text
/// session                                   worker
/// SessionRequest(StartTurn, port)    -->    happy_start
///                          port      <--    HappyEvent, once or more       one for each happy_next
///                          port      <--    TurnOver, or Failed            always the last one
/// SessionRequest(Hold or Go)         -->    waits before the next happy_next, or goes on
/// SessionRequest(any other, port)    -->
///                          port      <--    Answered or Failed
/// ```
/// Stopping a turn needs no message: the session raises the turn's cancel token, which the native side looks at.
library;

import 'dart:isolate';

import 'exception.dart';
import 'options.dart';

/// What a worker begins with.
final class SessionSetup {
  /// A session of the model at address [model].
  const SessionSetup(this.libraryPath, this.model, this.options, this.reply);

  /// The path of the library in the isolate that asks.
  final String libraryPath;

  /// The model's handle as a number.
  final int model;

  /// What the session begins with.
  final HappySessionOptions options;

  /// Hears [Answered] with the port for [SessionRequest]s, or [Failed].
  final SendPort reply;
}

/// Something that a worker shall do.
final class SessionRequest {
  /// [action], and where to say what came of it.
  const SessionRequest(this.action, [this.reply]);

  /// What to do.
  final SessionAction action;

  /// Receives the answer; null if nobody waits for one.
  final SendPort? reply;
}

/// What a worker can do.
sealed class SessionAction {
  const SessionAction();
}

/// Begins a turn.
final class StartTurn extends SessionAction {
  /// A turn with [text] from the user; without it, the messages are answered as they are.
  const StartTurn(this.text, this.options, {required this.raw, required this.cancel});

  /// What the user says, or the text to go on with.
  final String? text;

  /// How to generate.
  final HappyGenerateOptions options;

  /// Whether the text is continued as it is, without template and conversation.
  final bool raw;

  /// The address of the cancel token.
  final int cancel;
}

/// Holds the turn after the event that is being computed.
final class Hold extends SessionAction {
  /// Hold.
  const Hold();
}

/// Goes on with a turn that is held.
final class Go extends SessionAction {
  /// Go.
  const Go();
}

/// Adds a message, without an answer.
final class AddMessage extends SessionAction {
  /// A message of [role].
  const AddMessage(this.role, this.content);

  /// `user`, `assistant`, `system`, `tool` or what the template knows.
  final String role;

  /// Its text.
  final String content;
}

/// Adds a message as a JSON object.
final class AddJson extends SessionAction {
  /// A message.
  const AddJson(this.json);

  /// The object.
  final String json;
}

/// Asks for the conversation, as JSON.
final class ReadMessages extends SessionAction {
  /// The question.
  const ReadMessages();
}

/// Keeps the first messages.
final class Truncate extends SessionAction {
  /// Keeps [count] of them.
  const Truncate(this.count);

  /// How many are kept.
  final int count;
}

/// Forgets the conversation.
final class Clear extends SessionAction {
  /// Forgets.
  const Clear();
}

/// Goes on with other adapters.
final class SetAdapters extends SessionAction {
  /// With [adapters], each a file or `FILE=SCALE`.
  const SetAdapters(this.adapters);

  /// The adapters, in the order in which they are added.
  final List<String> adapters;
}

/// Asks for the tools that the last turn could not constrain, as JSON.
final class ReadLeftOut extends SessionAction {
  /// The question.
  const ReadLeftOut();
}

/// Asks what the session takes.
final class ReadMemory extends SessionAction {
  /// The question.
  const ReadMemory();
}

/// Asks what the last turn took.
final class ReadFinish extends SessionAction {
  /// The question.
  const ReadFinish();
}

/// Frees the session and ends the worker.
final class DisposeSession extends SessionAction {
  /// The end.
  const DisposeSession();
}

/// What came of a request.
sealed class Answer {
  const Answer();
}

/// It was done.
final class Answered extends Answer {
  /// It was done; [value] is what was asked for, or null.
  const Answered([this.value]);

  /// The result.
  final Object? value;
}

/// It failed.
final class Failed extends Answer {
  /// It failed with [error].
  const Failed(this.error);

  /// Why.
  final HappyException error;
}

/// A turn is over: no event of it will follow.
final class TurnOver extends Answer {
  /// The end.
  const TurnOver();
}
