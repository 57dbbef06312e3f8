/// What a turn brings.
library;

import 'bindings.dart' as c;
import 'calls.dart';
import 'values.dart';

/// Something that happened in a turn.
sealed class HappyEvent {
  const HappyEvent();
}

/// Of the prompt, [done] of [total] tokens are computed.
final class HappyPrefill extends HappyEvent {
  /// Progress of the prompt.
  const HappyPrefill(this.done, this.total);

  /// Tokens that are computed.
  final int done;

  /// Tokens that have to be computed.
  final int total;
}

/// More of the answer.
final class HappyAnswer extends HappyEvent {
  /// A piece of the answer.
  const HappyAnswer(this.text);

  /// The piece: whole characters, one or more tokens.
  final String text;
}

/// More of what the model thinks before it answers.
final class HappyReasoning extends HappyEvent {
  /// A piece of the reasoning.
  const HappyReasoning(this.text);

  /// The piece.
  final String text;
}

/// The model begins to call a tool.
final class HappyToolCallStart extends HappyEvent {
  /// The beginning of call number [call] of tool [name].
  const HappyToolCallStart(this.call, this.name, this.id);

  /// The number of the call, from 0.
  final int call;

  /// The tool.
  final String name;

  /// The id that the model gave the call; usually empty.
  final String id;
}

/// More of the arguments of a call, for apps that show them while they arrive.
final class HappyToolCallArguments extends HappyEvent {
  /// A piece of the arguments of call number [call].
  const HappyToolCallArguments(this.call, this.text);

  /// The number of the call.
  final int call;

  /// A piece of JSON.
  final String text;
}

/// A call that is complete.
final class HappyToolCall extends HappyEvent {
  /// Call number [call]: tool [name] with [arguments].
  const HappyToolCall(this.call, this.name, this.arguments, this.id);

  /// The number of the call.
  final int call;

  /// The tool.
  final String name;

  /// A JSON object.
  final String arguments;

  /// The id that the model gave the call; usually empty.
  final String id;
}

/// A text that looked like a call is not a valid call. It follows as part of the answer; if the call had started, it is
/// withdrawn.
final class HappyMalformedCall extends HappyEvent {
  /// What looked like call number [call] is not one, and why.
  const HappyMalformedCall(this.call, this.reason);

  /// The number of the call; -1 if it had not started.
  final int call;

  /// What is wrong with it.
  final String reason;
}

/// The end of the turn.
final class HappyDone extends HappyEvent {
  /// The end, and what the turn took.
  const HappyDone(this.finish);

  /// Why it ended, and what it took.
  final HappyFinish finish;
}

/// The event that [event] holds; null if it is of a kind of a newer library. [finish] is asked at the end of a turn.
HappyEvent? readEvent(c.HappyEvent event, HappyFinish Function() finish) {
  String text() => decode(event.text.data, event.text.len);
  String name() => decode(event.name.data, event.name.len);
  String id() => decode(event.id.data, event.id.len);
  return switch (event.kind) {
    c.HappyEventKind.HAPPY_EVENT_PREFILL => HappyPrefill(event.done, event.total),
    c.HappyEventKind.HAPPY_EVENT_TEXT => HappyAnswer(text()),
    c.HappyEventKind.HAPPY_EVENT_REASONING => HappyReasoning(text()),
    c.HappyEventKind.HAPPY_EVENT_TOOL_CALL_START => HappyToolCallStart(event.call, name(), id()),
    c.HappyEventKind.HAPPY_EVENT_TOOL_CALL_ARGUMENTS => HappyToolCallArguments(event.call, text()),
    c.HappyEventKind.HAPPY_EVENT_TOOL_CALL => HappyToolCall(event.call, name(), text(), id()),
    c.HappyEventKind.HAPPY_EVENT_MALFORMED_CALL => HappyMalformedCall(event.call, text()),
    c.HappyEventKind.HAPPY_EVENT_DONE => HappyDone(finish()),
    _ => null,
  };
}
