/// A conversation with a model.
library;

import 'dart:async';
import 'dart:convert';
import 'dart:isolate';

import 'cancel.dart';
import 'events.dart';
import 'exception.dart';
import 'library.dart';
import 'model.dart';
import 'options.dart';
import 'protocol.dart';
import 'values.dart';
import 'worker.dart';

/// A conversation with its KV cache. It lives in an isolate of its own, so that the app goes on drawing while it computes.
///
/// One turn runs at a time. Meanwhile [memory], [leftOut], [file], [reuse], [governor] and [lastFinish] are answered between
/// two events; all else fails with [HappyStatus.busy].
final class HappySession {
  HappySession._(this.model, this._requests) {
    _finalizer.attach(this, _requests, detach: this);
  }

  /// For a session that was forgotten: ends its isolate, which frees it.
  static final Finalizer<SendPort> _finalizer =
      Finalizer((requests) => requests.send(const SessionRequest(DisposeSession())));

  /// The model that answers.
  final HappyModel model;

  final SendPort _requests;
  final HappyCancel _cancel = HappyCancel();

  /// Completes when the turn that runs is over.
  Completer<void>? _turnOver;
  Future<void>? _disposal;

  /// Begins a conversation with [model]: KV cache, scratch and threads as planned.
  static Future<HappySession> open(
    HappyModel model, {
    HappySessionOptions options = const HappySessionOptions(),
  }) async {
    final port = ReceivePort('happy: opening');
    try {
      final setup = SessionSetup(HappyLibrary.path, model.address, options, port.sendPort);
      await Isolate.spawn(runSession, setup, onExit: port.sendPort, debugName: 'happy: session');
      final answer = await port.first;
      if (answer is! Answer) {
        throw const HappyException(HappyStatus.internal, 'the isolate of the session ended before it began');
      }
      return HappySession._(model, _value(answer) as SendPort);
    } finally {
      port.close();
    }
  }

  /// Whether a turn is running.
  bool get isAnswering => _turnOver != null;

  /// Says [text] as the user, and returns the events, the last of which is [HappyDone].
  ///
  /// The turn begins when the stream is listened to. Pausing the subscription holds the computation after the event that is
  /// being computed; cancelling it stops the turn, and completes when the session can be used again. After an error the
  /// conversation is as it was before the turn.
  Stream<HappyEvent> send(String text, {HappyGenerateOptions options = const HappyGenerateOptions()}) =>
      _turn(text, options, raw: false);

  /// Answers the messages as they are, as after a tool's result; else as [send].
  Stream<HappyEvent> answer({HappyGenerateOptions options = const HappyGenerateOptions()}) =>
      _turn(null, options, raw: false);

  /// Continues [text] as it is, without template and conversation; else as [send].
  Stream<HappyEvent> complete(String text, {HappyGenerateOptions options = const HappyGenerateOptions()}) =>
      _turn(text, options, raw: true);

  /// Stops the turn that runs, if one does: it ends with a [HappyDone] whose reason is [HappyFinishReason.cancelled].
  void stop() {
    if (_turnOver == null || _disposal != null) return;
    _cancel.raise();
    _requests.send(const SessionRequest(Go()));
  }

  /// Adds a message without answering it. [role] is `user`, `assistant`, `system`, `tool`, or another one that the
  /// template knows.
  Future<void> addMessage(String role, String content) => _ask(AddMessage(role, content));

  /// Adds a message as an object, like a tool's answer: `{'role': 'tool', 'tool_call_id': .., 'content': ..}`.
  Future<void> addJson(Map<String, Object?> message) => _ask(AddJson(jsonEncode(message)));

  /// The conversation, including the system message.
  Future<List<Map<String, Object?>>> messages() async {
    final text = await _ask(const ReadMessages()) as String;
    return (jsonDecode(text) as List<Object?>).cast<Map<String, Object?>>();
  }

  /// Keeps the first [count] messages, including the system message, and removes the others.
  Future<void> truncate(int count) => _ask(Truncate(count));

  /// Removes all messages except for the system message, forgets the branches, and empties the conversation's part of the
  /// KV cache. The session's file stays as it is until the next turn.
  Future<void> clear() => _ask(const Clear());

  /// Uses these adapters (LoRA) from now on, in the order in which their results are added; without any, the model
  /// alone. Each is the path of a file, or `FILE=SCALE`. If the KV cache holds what was computed with other adapters,
  /// the next turn computes it again. The ranks of the adapters together are at most [HappyLoadOptions.adapterRank].
  /// After an error the adapters are as they were.
  Future<void> setAdapters(List<String> adapters) => _ask(SetAdapters(adapters));

  /// The tools that the last turn, or the one that runs, could not constrain. Usually none.
  Future<List<HappyLeftOutTool>> leftOut() async {
    final text = await _ask(const ReadLeftOut()) as String;
    final tools = (jsonDecode(text) as List<Object?>).cast<Map<String, Object?>>();
    return tools.map(HappyLeftOutTool.fromJson).toList();
  }

  /// Writes the session into a new file (`*.happy`), which replaces one at the same path, and appends every turn that
  /// ends from now on: its messages, its tokens and what was computed of them. If the app ends at any time, the file
  /// has all turns that had ended, and an unfinished answer except for at most its last 32 tokens. It is sealed with
  /// [HappySessionOptions.fileKey]. A turn that cannot be saved does not fail: [file] says why it was not saved, and the
  /// next turn tries again.
  Future<void> save(String path) => _ask(UseFile(FileStep.save, path: path));

  /// Continues with the conversation of a file instead of this one, and appends every turn to it. Nothing is computed:
  /// the next turn answers with the same bits as if the app had never ended. If it ended within an answer
  /// ([HappySessionFile.unfinished]), [answer] returns that answer from its beginning and continues with the same text.
  /// After an error the conversation is as it was. [HappyStatus.replay] says that [replay] can use the file.
  Future<void> restore(String path) => _ask(UseFile(FileStep.restore, path: path));

  /// Does the same as [restore] for a file that was computed with something else, for example before an update of the
  /// model: its tokens are computed again, and the file is rewritten. [dispose] ends that.
  Future<void> replay(String path) {
    if (_turnOver == null && _disposal == null) _cancel.lower();
    return _ask(UseFile(FileStep.replay, path: path, cancel: _cancel.address));
  }

  /// Saves what is new, as the end of a turn does: for messages that were added or removed between two turns, and to
  /// try again after a full disk.
  Future<void> append() => _ask(const UseFile(FileStep.append));

  /// Rewrites the session's file without what later turns replaced. A file of more than 4 MiB, half of which was
  /// replaced, is rewritten at the end of a turn.
  Future<void> compact() => _ask(const UseFile(FileStep.compact));

  /// Continues without the file, which stays as it is. [dispose] does the same.
  Future<void> closeFile() => _ask(const UseFile(FileStep.close));

  /// What is in the session's file; null without one.
  Future<HappySessionFile?> file() async {
    final json = jsonDecode(await _ask(const ReadFile()) as String) as Map<String, Object?>;
    return json.isEmpty ? null : HappySessionFile.fromJson(json);
  }

  /// Removes everything after the user's last message. [answer] then answers it again, and computes next to nothing
  /// before the first token.
  Future<void> regenerate() => _ask(const Regenerate());

  /// Removes message [number] of the user, from 1 (0 is the last one), and everything after it, so that [send] can
  /// replace it. That turn computes only what follows the part that stays.
  Future<void> edit(int number) => _ask(Edit(number));

  /// Keeps the conversation as it is, continues in a copy, and returns the number of this new branch. The first
  /// conversation has number 1. With [HappyLoadOptions.branches], what was computed of them is kept, too.
  Future<int> branch() async => await _ask(const MakeBranch()) as int;

  /// Keeps the conversation as it is, and switches to branch [number], from 1.
  Future<void> goToBranch(int number) => _ask(GoToBranch(number));

  /// Keeps what is computed now, such as a long system prompt, until [unpin], even if memory for other branches is
  /// short. It needs [HappyLoadOptions.branches].
  Future<void> pin() => _ask(const Pin(pinned: true));

  /// Unpins everything, so that it can be dropped like the rest when memory for branches is short.
  Future<void> unpin() => _ask(const Pin(pinned: false));

  /// How much the turns of the session did not have to compute.
  Future<HappyReuse> reuse() async => await _ask(const ReadReuse()) as HappyReuse;

  /// Gives memory back to the system: for an app that goes to the background, or is told that memory is short. The
  /// conversation stays. After [HappyTrimLevel.sequences], the next turn reads what was computed from the session's file;
  /// without a file, it computes it again.
  Future<void> trim(HappyTrimLevel level) => _ask(Trim(level.code));

  /// What the governor decided last ([HappySessionOptions.governor]): `threads`, `tokens_per_second` (the limit, or null)
  /// and `reason`. Empty without a governor.
  Future<Map<String, Object?>> governor() async =>
      jsonDecode(await _ask(const ReadGovernor()) as String) as Map<String, Object?>;

  /// The memory of the session and of the process.
  Future<HappyMemory> memory() async => await _ask(const ReadMemory()) as HappyMemory;

  /// What the last turn took.
  Future<HappyFinish> lastFinish() async => await _ask(const ReadFinish()) as HappyFinish;

  /// Stops the turn that runs, frees the session and ends its isolate. Doing it again waits for the same end.
  Future<void> dispose() => _disposal ??= _dispose();

  Future<void> _dispose() async {
    _finalizer.detach(this);
    _cancel.raise();
    await _request(const DisposeSession());
    await _turnOver?.future;
    _cancel.dispose();
  }

  Future<Object?> _ask(SessionAction action) {
    _checkAlive();
    return _request(action);
  }

  void _checkAlive() {
    if (_disposal != null) throw StateError('the session was disposed of');
  }

  Future<Object?> _request(SessionAction action) async {
    final port = ReceivePort('happy: answer');
    _requests.send(SessionRequest(action, port.sendPort));
    // Taking the first message closes the port.
    return _value(await port.first as Answer);
  }

  static Object? _value(Answer answer) => switch (answer) {
        Answered(:final value) => value,
        Failed(:final error) => throw error,
        TurnOver() => null,
      };

  Stream<HappyEvent> _turn(String? text, HappyGenerateOptions options, {required bool raw}) {
    _checkAlive();
    final controller = StreamController<HappyEvent>();
    // Set when the turn begins: only then is there something to hold or to stop.
    Completer<void>? over;
    controller.onListen = () {
      if (_disposal != null || _turnOver != null) {
        controller.addError(
          HappyException(
            _disposal != null ? HappyStatus.invalidHandle : HappyStatus.busy,
            _disposal != null ? 'the session was disposed of' : 'the session has a turn that has not ended',
          ),
        );
        unawaited(controller.close());
        return;
      }
      over = _listen(StartTurn(text, options, raw: raw, cancel: _cancel.address), controller);
    };
    controller.onPause = () => _tell(over, const Hold());
    controller.onResume = () => _tell(over, const Go());
    // Also called when the stream is at its end; then the turn is over, and there is nothing to stop.
    controller.onCancel = () {
      final turn = over;
      if (turn == null || turn.isCompleted) return null;
      stop();
      return turn.future;
    };
    return controller.stream;
  }

  /// Begins a turn, whose events go to [controller]; what it gives completes when the turn is over.
  Completer<void> _listen(StartTurn turn, StreamController<HappyEvent> controller) {
    final over = Completer<void>();
    final port = ReceivePort('happy: turn');
    _turnOver = over;
    _cancel.lower();
    port.listen((message) {
      switch (message) {
        case final HappyEvent event:
          controller.add(event);
          return;
        case Failed(:final error):
          controller.addError(error);
        default:
          break;
      }
      port.close();
      _turnOver = null;
      over.complete();
      unawaited(controller.close());
    });
    _requests.send(SessionRequest(turn, port.sendPort));
    return over;
  }

  /// Sends a word about the turn [over] belongs to, if it is still the one that runs.
  void _tell(Completer<void>? over, SessionAction action) {
    if (over != null && !over.isCompleted) _requests.send(SessionRequest(action));
  }
}
