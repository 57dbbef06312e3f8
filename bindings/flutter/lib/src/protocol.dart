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

/// What is done with a session's file.
enum FileStep {
  /// Writes it, and appends every turn to it.
  save,

  /// Goes on with it.
  restore,

  /// Computes it again, and goes on with it.
  replay,

  /// Saves what is new.
  append,

  /// Writes it anew.
  compact,

  /// Goes on without it.
  close,
}

/// Does something with the session's file.
final class UseFile extends SessionAction {
  /// [step], at [path] if it names a file; [cancel] is the address of the token that ends computing it again.
  const UseFile(this.step, {this.path = '', this.cancel = 0});

  /// What is done.
  final FileStep step;

  /// The file.
  final String path;

  /// The address of the cancel token; 0: none.
  final int cancel;
}

/// Asks what is in the session's file, as JSON.
final class ReadFile extends SessionAction {
  /// The question.
  const ReadFile();
}

/// Takes the last answer back.
final class Regenerate extends SessionAction {
  /// Takes it back.
  const Regenerate();
}

/// Goes back to before a message of the user.
final class Edit extends SessionAction {
  /// Before message [number], from 1; 0: the last one.
  const Edit(this.number);

  /// Which message.
  final int number;
}

/// Goes on in a copy of the conversation, and asks for its number.
final class MakeBranch extends SessionAction {
  /// Goes on in a copy.
  const MakeBranch();
}

/// Goes on with a branch.
final class GoToBranch extends SessionAction {
  /// With branch [number].
  const GoToBranch(this.number);

  /// Which branch.
  final int number;
}

/// Keeps what is computed, or lets it go.
final class Pin extends SessionAction {
  /// Keeps it if [pinned].
  const Pin({required this.pinned});

  /// Whether it is kept.
  final bool pinned;
}

/// Asks what was reused.
final class ReadReuse extends SessionAction {
  /// The question.
  const ReadReuse();
}

/// Gives memory back.
final class Trim extends SessionAction {
  /// As much as the level with the number [level] in C says.
  const Trim(this.level);

  /// The level.
  final int level;
}

/// Asks for the tools that the last turn could not constrain, as JSON.
final class ReadLeftOut extends SessionAction {
  /// The question.
  const ReadLeftOut();
}

/// Asks what the governor decided, as JSON.
final class ReadGovernor extends SessionAction {
  /// The question.
  const ReadGovernor();
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
