/// Loading a model in an isolate of its own: reading a file can take seconds, and the app goes on drawing.
library;

import 'dart:ffi';
import 'dart:isolate';

import 'package:ffi/ffi.dart';

import 'bindings.dart' as c;
import 'calls.dart';
import 'exception.dart';
import 'library.dart';
import 'options.dart';
import 'values.dart';

/// What the loading isolate is given.
final class LoadRequest {
  /// A model to load, and where to tell about it.
  const LoadRequest(this.libraryPath, this.source, this.options, this.cancel, this.reply);

  /// [HappyLibrary.path] of the isolate that asks.
  final String libraryPath;

  /// The model.
  final HappyModelSource source;

  /// How to load it.
  final HappyLoadOptions options;

  /// The address of a cancel token; 0: none.
  final int cancel;

  /// Hears [LoadMessage]s.
  final SendPort reply;
}

/// What the loading isolate tells.
sealed class LoadMessage {
  const LoadMessage();
}

/// So much is loaded, from 0 to 1.
final class LoadProgress extends LoadMessage {
  /// Progress.
  const LoadProgress(this.fraction);

  /// From 0 to 1.
  final double fraction;
}

/// The model is loaded.
final class Loaded extends LoadMessage {
  /// The model's handle.
  const Loaded(this.address);

  /// The handle as a number.
  final int address;
}

/// The model cannot be loaded.
final class LoadFailed extends LoadMessage {
  /// Why.
  const LoadFailed(this.error);

  /// Why.
  final HappyException error;
}

/// The entry point of the loading isolate.
void loadModel(LoadRequest request) {
  HappyLibrary.path = request.libraryPath;
  final reply = request.reply;
  try {
    reply.send(Loaded(_load(request)));
  } catch (error) {
    reply.send(LoadFailed(sendable(error)));
  }
}

int _load(LoadRequest request) {
  final bindings = HappyLibrary.bindings;
  // Called by the library on this thread, within the call below.
  final progress = NativeCallable<c.HappyProgressFunction>.isolateLocal(
    (Pointer<Void> user, double fraction) {
      request.reply.send(LoadProgress(fraction));
      return 1;
    },
    exceptionalReturn: 1,
  );
  try {
    return using((arena) {
      final options = request.options.toNative(arena);
      options.ref.progress = progress.nativeFunction;
      options.ref.cancel = Pointer<c.HappyCancel>.fromAddress(request.cancel);
      final source = request.source;
      final path = source.path;
      if (path == null) {
        return readHandle(
          (out, error) => bindings.happy_model_open_fds(
            source.toNative(arena),
            source.parts.length,
            options,
            out.cast(),
            error,
          ),
        );
      }
      final (data, length) = encode(path, arena);
      return readHandle((out, error) => bindings.happy_model_open_file(data, length, options, out.cast(), error));
    });
  } finally {
    progress.close();
  }
}

/// What running the model of [source] takes.
HappyPlan planModel(HappyModelSource source, HappyLoadOptions options) {
  final bindings = HappyLibrary.bindings;
  return using((arena) {
    final native = options.toNative(arena);
    final plan = arena<c.HappyPlan>();
    plan.ref.size = sizeOf<c.HappyPlan>();
    final path = source.path;
    if (path == null) {
      check(
        (error) =>
            bindings.happy_plan_fds(source.toNative(arena), source.parts.length, native, plan, error),
      );
    } else {
      final (data, length) = encode(path, arena);
      check((error) => bindings.happy_plan_file(data, length, native, plan, error));
    }
    return HappyPlan.read(plan.ref);
  });
}
