/// The isolate of a session: it alone calls the native session, one call after the other.
///
/// A turn is a loop over `happy_next`. Between two events it lets the isolate's other messages in: `Hold` and `Go`, which are
/// how a paused stream stops the computation, questions about memory, and the end of the session.
library;

import 'dart:async';
import 'dart:ffi';
import 'dart:isolate';

import 'package:ffi/ffi.dart';

import 'bindings.dart' as c;
import 'calls.dart';
import 'events.dart';
import 'exception.dart';
import 'library.dart';
import 'options.dart';
import 'protocol.dart';
import 'values.dart';

/// The entry point of the isolate.
void runSession(SessionSetup setup) {
  HappyLibrary.path = setup.libraryPath;
  try {
    final worker = SessionWorker(setup.model, setup.options);
    setup.reply.send(Answered(worker.requests));
  } catch (error) {
    setup.reply.send(Failed(sendable(error)));
  }
}

/// A native session and what is done with it.
final class SessionWorker implements Finalizable {
  /// A session of the model at the address [model], which hears requests from now on.
  SessionWorker(int model, HappySessionOptions options)
      : _session = Pointer<c.HappySession>.fromAddress(_open(model, options)),
        _event = calloc<c.HappyEvent>(),
        _port = RawReceivePort(null, 'happy: session') {
    // For an isolate that is killed: the session is not left behind.
    _finalizer.attach(this, _session.cast(), detach: this);
    _port.handler = _handle;
  }

  static final NativeFinalizer _finalizer =
      NativeFinalizer(HappyLibrary.bindings.library.lookup<NativeFinalizerFunction>('happy_session_free'));

  final c.HappyBindings _bindings = HappyLibrary.bindings;
  final Pointer<c.HappySession> _session;
  final Pointer<c.HappyEvent> _event;
  final RawReceivePort _port;

  /// What a turn that is held waits for.
  Completer<void>? _held;
  bool _disposed = false;

  /// Where requests go.
  SendPort get requests => _port.sendPort;

  static int _open(int model, HappySessionOptions options) {
    final handle = Pointer<c.HappyModel>.fromAddress(model);
    return using((arena) {
      final native = options.toNative(arena);
      return readHandle((out, error) => HappyLibrary.bindings.happy_session_new(handle, native, out.cast(), error));
    });
  }

  void _handle(SessionRequest request) {
    final action = request.action;
    final reply = request.reply;
    if (action is StartTurn) {
      if (reply != null) unawaited(_turn(action, reply));
      return;
    }
    try {
      final value = _do(action);
      reply?.send(Answered(value));
    } catch (error) {
      reply?.send(Failed(sendable(error)));
    }
  }

  /// Does everything but turns.
  Object? _do(SessionAction action) {
    switch (action) {
      case StartTurn():
        throw StateError('turns have a way of their own');
      case Hold():
        _held ??= Completer<void>();
      case Go():
        _go();
      case AddMessage(:final role, :final content):
        using((arena) {
          final (roleData, roleLength) = encode(role, arena);
          final (data, length) = encode(content, arena);
          check(
            (error) =>
                _bindings.happy_session_add_message(_session, roleData, roleLength, data, length, error),
          );
        });
      case AddJson(:final json):
        using((arena) {
          final (data, length) = encode(json, arena);
          check((error) => _bindings.happy_session_add_json(_session, data, length, error));
        });
      case ReadMessages():
        return readString((out, error) => _bindings.happy_session_messages(_session, out, error));
      case Truncate(:final count):
        check((error) => _bindings.happy_session_truncate(_session, count, error));
      case Clear():
        check((error) => _bindings.happy_session_clear(_session, error));
      case SetAdapters(:final adapters):
        using((arena) {
          final native = encodeAll(adapters, arena);
          check((error) => _bindings.happy_session_set_adapters(_session, native, adapters.length, error));
        });
      case ReadLeftOut():
        return readString((out, error) => _bindings.happy_session_left_out(_session, out, error));
      case UseFile(:final step, :final path, :final cancel):
        using((arena) {
          final (data, length) = encode(path, arena);
          final token = Pointer<c.HappyCancel>.fromAddress(cancel);
          check(
            (error) => switch (step) {
              FileStep.save => _bindings.happy_session_save(_session, data, length, error),
              FileStep.restore => _bindings.happy_session_restore(_session, data, length, error),
              FileStep.replay => _bindings.happy_session_replay(_session, data, length, token, error),
              FileStep.append => _bindings.happy_session_append(_session, error),
              FileStep.compact => _bindings.happy_session_compact(_session, error),
              FileStep.close => _bindings.happy_session_close_file(_session, error),
            },
          );
        });
      case ReadFile():
        return readString((out, error) => _bindings.happy_session_file(_session, out, error));
      case Regenerate():
        check((error) => _bindings.happy_session_regenerate(_session, error));
      case Edit(:final number):
        check((error) => _bindings.happy_session_edit(_session, number, error));
      case MakeBranch():
        return using((arena) {
          final out = arena<Uint32>();
          check((error) => _bindings.happy_session_branch(_session, out, error));
          return out.value;
        });
      case GoToBranch(:final number):
        check((error) => _bindings.happy_session_go_to_branch(_session, number, error));
      case Pin(:final pinned):
        check(
          (error) => pinned
              ? _bindings.happy_session_pin(_session, error)
              : _bindings.happy_session_unpin(_session, error),
        );
      case ReadReuse():
        return using((arena) {
          final out = arena<c.HappyReuse>();
          out.ref.size = sizeOf<c.HappyReuse>();
          check((error) => _bindings.happy_session_reuse(_session, out, error));
          return HappyReuse.read(out.ref);
        });
      case Trim(:final level):
        check((error) => _bindings.happy_session_trim(_session, level, error));
      case ReadGovernor():
        return readString((out, error) => _bindings.happy_session_governor(_session, out, error));
      case ReadMemory():
        return using((arena) {
          final out = arena<c.HappyMemory>();
          out.ref.size = sizeOf<c.HappyMemory>();
          check((error) => _bindings.happy_session_memory(_session, out, error));
          return HappyMemory.read(out.ref);
        });
      case ReadFinish():
        return _finish();
      case DisposeSession():
        _dispose();
    }
    return null;
  }

  /// A turn, from `happy_start` to its last event.
  Future<void> _turn(StartTurn turn, SendPort reply) async {
    try {
      // What the turn before was told is no business of this one.
      _go();
      _start(turn);
      while (true) {
        final event = _next();
        if (event != null) reply.send(event);
        if (event is HappyDone) break;
        // A turn of the event loop, for the messages that wait.
        await Future<void>.delayed(Duration.zero);
        for (var held = _held; held != null; held = _held) {
          await held.future;
        }
        if (_disposed) break;
      }
      reply.send(const TurnOver());
    } catch (error) {
      if (!_disposed) _bindings.happy_stop(_session, nullptr);
      reply.send(Failed(sendable(error)));
    }
  }

  void _start(StartTurn turn) {
    using((arena) {
      final options = turn.options.toNative(arena);
      options.ref.raw = turn.raw ? 1 : 0;
      options.ref.cancel = Pointer<c.HappyCancel>.fromAddress(turn.cancel);
      final sampler = turn.options.sampler?.create();
      if (sampler != null) options.ref.sampler = sampler;
      try {
        final text = turn.text;
        final (data, length) = text == null ? (nullptr.cast<Char>(), 0) : encode(text, arena);
        check((error) => _bindings.happy_start(_session, data, length, options, error));
      } finally {
        // A turn that began with it keeps it.
        if (sampler != null) _bindings.happy_sampler_free(sampler);
      }
    });
  }

  HappyEvent? _next() {
    _event.ref.size = sizeOf<c.HappyEvent>();
    check((error) => _bindings.happy_next(_session, _event, error));
    return readEvent(_event.ref, _finish);
  }

  HappyFinish _finish() {
    return using((arena) {
      final out = arena<c.HappyFinish>();
      out.ref.size = sizeOf<c.HappyFinish>();
      check((error) => _bindings.happy_session_finish(_session, out, error));
      return HappyFinish.read(out.ref);
    });
  }

  void _go() {
    _held?.complete();
    _held = null;
  }

  void _dispose() {
    if (_disposed) return;
    _disposed = true;
    _go();
    _finalizer.detach(this);
    _bindings.happy_session_free(_session);
    calloc.free(_event);
    // With its last port closed and no turn left, the isolate ends.
    _port.close();
  }
}
