/// A model that is loaded.
library;

import 'dart:async';
import 'dart:convert';
import 'dart:ffi';
import 'dart:isolate';
import 'dart:typed_data';

import 'package:ffi/ffi.dart';

import 'bindings.dart' as c;
import 'calls.dart';
import 'cancel.dart';
import 'exception.dart';
import 'library.dart';
import 'loader.dart';
import 'options.dart';
import 'values.dart';

/// A loaded model, shared by its sessions. Its weights stay in the file, which is mapped.
final class HappyModel implements Finalizable {
  HappyModel._(this._address) {
    _finalizer.attach(this, Pointer<Void>.fromAddress(_address), detach: this);
  }

  static final NativeFinalizer _finalizer =
      NativeFinalizer(HappyLibrary.bindings.library.lookup<NativeFinalizerFunction>('happy_model_free'));

  final int _address;
  bool _disposed = false;

  /// The memory that running the model of [source] takes. A plan over the budget is not an error here. Nothing big is
  /// read.
  static Future<HappyPlan> planOf(
    HappyModelSource source, {
    HappyLoadOptions options = const HappyLoadOptions(),
  }) {
    final libraryPath = HappyLibrary.path;
    return Isolate.run(() {
      HappyLibrary.path = libraryPath;
      return planModel(source, options);
    });
  }

  /// Loads a model, in an isolate of its own. [onProgress] receives fractions from 0 to 1. [cancel] ends it early, with
  /// [HappyStatus.cancelled]. A model over the memory budget gives [HappyStatus.memory], with the numbers and what
  /// would fit.
  static Future<HappyModel> open(
    HappyModelSource source, {
    HappyLoadOptions options = const HappyLoadOptions(),
    void Function(double fraction)? onProgress,
    HappyCancel? cancel,
  }) async {
    final port = ReceivePort('happy: loading');
    try {
      final request = LoadRequest(HappyLibrary.path, source, options, cancel?.address ?? 0, port.sendPort);
      await Isolate.spawn(loadModel, request, onExit: port.sendPort, debugName: 'happy: loading');
      await for (final message in port) {
        switch (message) {
          case LoadProgress(:final fraction):
            // What the listener throws is not a reason to lose a model.
            if (onProgress != null) Zone.current.runUnaryGuarded(onProgress, fraction);
          case Loaded(:final address):
            return HappyModel._(address);
          case LoadFailed(:final error):
            throw error;
          default:
            throw const HappyException(HappyStatus.internal, 'the isolate that loads the model ended without a result');
        }
      }
      throw const HappyException(HappyStatus.internal, 'the port of the isolate that loads the model was closed');
    } finally {
      port.close();
    }
  }

  /// The native handle as a number, for other isolates.
  int get address {
    if (_disposed) throw StateError('the model was disposed of');
    return _address;
  }

  Pointer<c.HappyModel> get _handle => Pointer<c.HappyModel>.fromAddress(address);

  /// The plan: the memory that the model and one session take.
  HappyPlan get plan {
    final handle = _handle;
    return using((arena) {
      final plan = arena<c.HappyPlan>();
      plan.ref.size = sizeOf<c.HappyPlan>();
      check((error) => HappyLibrary.bindings.happy_model_plan(handle, plan, error));
      return HappyPlan.read(plan.ref);
    });
  }

  /// Describes the model: `architecture`, `name`, `parameters`, `trained_context` and more; with [metadata], all pairs
  /// of the file, too.
  Map<String, Object?> info({bool metadata = false}) {
    final handle = _handle;
    final text = readString(
      (out, error) => HappyLibrary.bindings.happy_model_info(handle, metadata ? 1 : 0, out, error),
    );
    return jsonDecode(text) as Map<String, Object?>;
  }

  /// The tokens of [text]. With [special] the strings of control tokens become those tokens, and BOS and EOS are added
  /// if the model wants them.
  Uint32List tokenize(String text, {bool special = false}) {
    final handle = _handle;
    return using((arena) {
      final (data, length) = encode(text, arena);
      final count = arena<Size>();
      // A token has a byte or more, except for BOS and EOS, so the first try is usually enough.
      for (var capacity = length + 2;; capacity = count.value) {
        final room = capacity;
        final tokens = arena<Uint32>(room);
        check(
          (error) => HappyLibrary.bindings
              .happy_tokenize(handle, data, length, special ? 1 : 0, tokens, room, count, error),
        );
        if (count.value <= room) return Uint32List.fromList(tokens.asTypedList(count.value));
      }
    });
  }

  /// The text of [tokens]. With [special] control tokens become their strings; otherwise they are left out.
  String detokenize(List<int> tokens, {bool special = false}) {
    final handle = _handle;
    return using((arena) {
      final data = arena<Uint32>(tokens.length + 1);
      data.asTypedList(tokens.length).setAll(0, tokens);
      return readString(
        (out, error) => HappyLibrary.bindings
            .happy_detokenize(handle, data, tokens.length, special ? 1 : 0, out, error),
      );
    });
  }

  /// The bytes of one token, which may be only a part of a character.
  Uint8List piece(int token) {
    final handle = _handle;
    return readBytes((out, error) => HappyLibrary.bindings.happy_token_piece(handle, token, out, error));
  }

  /// The prompt that the model's template makes of [messages]. With [answer] it ends with the header of an answer.
  String applyTemplate(
    List<Map<String, Object?>> messages, {
    List<Map<String, Object?>> tools = const [],
    bool answer = true,
  }) {
    final handle = _handle;
    return using((arena) {
      final (data, length) = encode(jsonEncode(messages), arena);
      final (toolsData, toolsLength) = encode(tools.isEmpty ? '' : jsonEncode(tools), arena);
      return readString(
        (out, error) => HappyLibrary.bindings
            .happy_apply_template(handle, data, length, toolsData, toolsLength, answer ? 1 : 0, out, error),
      );
    });
  }

  /// Computes what [verify] compares with on other devices, as JSON of some 100 KiB. Make it where results are trusted. It
  /// takes seconds for a model of a billion parameters, in an isolate of its own; don't dispose of the model meanwhile.
  Future<String> reference() {
    final (address, path) = (this.address, HappyLibrary.path);
    return Isolate.run(() {
      HappyLibrary.path = path;
      final handle = Pointer<c.HappyModel>.fromAddress(address);
      return readString(
        (out, error) => HappyLibrary.bindings.happy_model_reference(handle, nullptr, out, error),
      );
    });
  }

  /// Checks whether this device computes what the device computed that made the [reference]: with the same bits. Returns
  /// `{'same': true}`, or the first difference with `part` (`tokenizer`, `template`, `weights`, `layer` or `logits`), `name`
  /// and `kernel`. A reference of another architecture or version of the numerics gives [HappyStatus.invalidArgument]. As
  /// [reference], it runs in an isolate of its own.
  Future<Map<String, Object?>> verify(String reference) {
    final (address, path) = (this.address, HappyLibrary.path);
    return Isolate.run(() {
      HappyLibrary.path = path;
      final handle = Pointer<c.HappyModel>.fromAddress(address);
      final text = using((arena) {
        final (data, length) = encode(reference, arena);
        return readString(
          (out, error) =>
              HappyLibrary.bindings.happy_model_verify(handle, data, length, nullptr, out, error),
        );
      });
      return jsonDecode(text) as Map<String, Object?>;
    });
  }

  /// Makes all sessions of this model wait before their next token, or their next part of a prompt, until [resume]: for
  /// an app that goes to the background. What is being computed is finished first. A turn that is cancelled while it
  /// waits ends.
  void pause() {
    final handle = _handle;
    check((error) => HappyLibrary.bindings.happy_model_pause(handle, error));
  }

  /// Lets the sessions continue after [pause]. Does nothing if they are not paused.
  void resume() {
    final handle = _handle;
    check((error) => HappyLibrary.bindings.happy_model_resume(handle, error));
  }

  /// Frees the model. Its sessions keep what they need, and continue to work. Doing it again does nothing.
  void dispose() {
    if (_disposed) return;
    _disposed = true;
    _finalizer.detach(this);
    HappyLibrary.bindings.happy_model_free(Pointer<c.HappyModel>.fromAddress(_address));
  }
}
