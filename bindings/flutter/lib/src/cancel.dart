/// A flag that ends loading or a turn early.
library;

import 'dart:ffi';

import 'bindings.dart' as c;
import 'calls.dart';
import 'library.dart';

/// A flag that ends work early. Raising it works at once, whatever the isolate that does the work is busy with.
final class HappyCancel implements Finalizable {
  /// A token that is not raised.
  HappyCancel() : _address = readHandle((out, error) => HappyLibrary.bindings.happy_cancel_new(out.cast(), error)) {
    _finalizer.attach(this, Pointer<Void>.fromAddress(_address), detach: this);
  }

  static final NativeFinalizer _finalizer =
      NativeFinalizer(HappyLibrary.bindings.library.lookup<NativeFinalizerFunction>('happy_cancel_free'));

  final int _address;
  bool _disposed = false;

  /// The native handle as a number, for other isolates.
  int get address {
    if (_disposed) throw StateError('the cancel token was disposed of');
    return _address;
  }

  /// Raises the token. Work that uses it ends within milliseconds, or after the token of text that is being computed.
  void raise() {
    final handle = Pointer<c.HappyCancel>.fromAddress(address);
    check((error) => HappyLibrary.bindings.happy_cancel_raise(handle, error));
  }

  /// Makes the token usable again.
  void lower() {
    final handle = Pointer<c.HappyCancel>.fromAddress(address);
    check((error) => HappyLibrary.bindings.happy_cancel_lower(handle, error));
  }

  /// Frees the token. Doing it again does nothing.
  void dispose() {
    if (_disposed) return;
    _disposed = true;
    _finalizer.detach(this);
    HappyLibrary.bindings.happy_cancel_free(Pointer<c.HappyCancel>.fromAddress(_address));
  }
}
