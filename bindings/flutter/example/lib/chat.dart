/// The conversation that the page shows, and the model that answers.
library;

import 'dart:async';

import 'package:flutter/foundation.dart';
import 'package:happy_phone_llm/happy_phone_llm.dart';

/// A message as it is shown.
class ChatMessage {
  ChatMessage({required this.isUser, this.text = ''});

  /// Whether the person at the device wrote it.
  final bool isUser;

  /// What it says so far.
  String text;

  /// What the model thought before, so far.
  String reasoning = '';
}

/// A model, a session with it, and their state. Listeners hear of every change.
class Chat extends ChangeNotifier {
  final List<ChatMessage> _messages = [];
  HappyModel? _model;
  HappySession? _session;
  HappyCancel? _loadCancel;
  StreamSubscription<HappyEvent>? _turn;
  Timer? _memoryTimer;
  bool _disposed = false;

  /// The conversation, oldest first.
  List<ChatMessage> get messages => List.unmodifiable(_messages);

  /// The name of the model; null if none is loaded.
  String? modelName;

  /// How much of a model is loaded, from 0 to 1; null if none is being loaded.
  double? loading;

  /// How much of the prompt is computed, from 0 to 1; null if none is.
  double? prefill;

  /// What went wrong last; null if nothing did, or if it was dismissed.
  String? error;

  /// What the session and the process take.
  HappyMemory? memory;

  /// What the last turn took.
  HappyFinish? finish;

  /// Whether a message can be sent.
  bool get isReady => _session != null && !isAnswering;

  /// Whether the model is answering.
  bool get isAnswering => _turn != null;

  /// Loads the model at [path] in place of the one before.
  Future<void> load(String path) async {
    if (loading != null) return;
    loading = 0;
    error = null;
    _changed();
    await _close();
    final cancel = HappyCancel();
    _loadCancel = cancel;
    try {
      final model = await HappyModel.open(
        HappyModelSource.file(path),
        onProgress: (fraction) {
          loading = fraction;
          _changed();
        },
        cancel: cancel,
      );
      _model = model;
      // A long chat goes on without its oldest turns, and as fast as the device stays cool.
      const options = HappySessionOptions(contextPolicy: 'drop-oldest', governor: 'fastest');
      _session = await HappySession.open(model, options: options);
      modelName = _nameOf(model, path);
      await _readMemory();
    } on HappyException catch (failure) {
      await _close();
      if (failure.status != HappyStatus.cancelled) error = failure.message;
    } finally {
      cancel.dispose();
      _loadCancel = null;
      loading = null;
      _changed();
    }
    // The app may have been closed meanwhile.
    if (_disposed) await _close();
  }

  /// Ends loading early.
  void cancelLoading() => _loadCancel?.raise();

  /// Says [text], and shows the answer as it comes.
  void send(String text) {
    final session = _session;
    if (session == null || isAnswering) return;
    final answer = ChatMessage(isUser: false);
    _messages.addAll([ChatMessage(isUser: true, text: text), answer]);
    error = null;
    finish = null;
    _turn = session.send(text).listen(
      (event) => _show(event, answer),
      onError: (Object failure) {
        // The session is as it was before: so is what is shown.
        _messages.removeRange(_messages.length - 2, _messages.length);
        error = failure is HappyException ? failure.message : failure.toString();
      },
      onDone: _turnEnded,
    );
    _memoryTimer = Timer.periodic(const Duration(seconds: 1), (_) => unawaited(_readMemory()));
    _changed();
  }

  /// Stops the answer; what there is of it stays.
  void stop() => _session?.stop();

  /// Forgets the conversation.
  Future<void> clear() async {
    if (!isReady) return;
    await _session?.clear();
    _messages.clear();
    finish = null;
    await _readMemory();
    _changed();
  }

  /// Forgets the last error.
  void dismissError() {
    error = null;
    _changed();
  }

  /// Shows [message] as an error.
  void showError(String message) {
    error = message;
    _changed();
  }

  @override
  void dispose() {
    _disposed = true;
    _loadCancel?.raise();
    unawaited(_close());
    super.dispose();
  }

  void _show(HappyEvent event, ChatMessage answer) {
    prefill = null;
    switch (event) {
      case HappyPrefill(:final done, :final total):
        prefill = total == 0 ? null : done / total;
      case HappyAnswer(:final text):
        answer.text += text;
      case HappyReasoning(:final text):
        answer.reasoning += text;
      case HappyDone(finish: final took):
        finish = took;
      // This chat offers the model no tools.
      case HappyToolCallStart() || HappyToolCallArguments() || HappyToolCall() || HappyMalformedCall():
        break;
    }
    _changed();
  }

  void _turnEnded() {
    _memoryTimer?.cancel();
    _memoryTimer = null;
    _turn = null;
    prefill = null;
    _changed();
    unawaited(_readMemory());
  }

  Future<void> _readMemory() async {
    final session = _session;
    if (session == null) return;
    try {
      memory = await session.memory();
      _changed();
    } on HappyException {
      // A number on the screen stays as it is; what is wrong will show where it matters.
    } on StateError {
      // The session was closed meanwhile.
    }
  }

  Future<void> _close() async {
    _memoryTimer?.cancel();
    _memoryTimer = null;
    final (turn, session, model) = (_turn, _session, _model);
    _turn = null;
    _session = null;
    _model = null;
    modelName = null;
    memory = null;
    finish = null;
    prefill = null;
    _messages.clear();
    await turn?.cancel();
    await session?.dispose();
    model?.dispose();
  }

  void _changed() {
    if (!_disposed) notifyListeners();
  }

  static String _nameOf(HappyModel model, String path) {
    final name = model.info()['name'];
    return name is String && name.isNotEmpty ? name : path.split('/').last;
  }
}
