/// Finds libhappy and checks that it is one that these bindings know.
library;

import 'dart:convert';
import 'dart:ffi';
import 'dart:io';

import 'bindings.dart' as c;
import 'calls.dart';
import 'exception.dart';

/// The native library.
abstract final class HappyLibrary {
  /// The library's file name, which the system looks for where the app's libraries are, or a path to it. Set it before
  /// anything else is used.
  static String path = _usualPath();

  static c.HappyBindings? _bindings;

  /// The library's functions. Each isolate opens the library for itself; the system loads it once.
  static c.HappyBindings get bindings => _bindings ??= _open(path);

  /// The version of the library, such as `1.2.3`.
  static String get version {
    final text = bindings.happy_version();
    var length = 0;
    while (text[length] != 0) {
      length += 1;
    }
    return decode(text, length);
  }

  /// Describes the processor and what the library uses of it: `cores`, `default_threads`, `chosen` and more.
  static Map<String, Object?> cpu() {
    final text = readString((out, error) => bindings.happy_cpu(out, error));
    return jsonDecode(text) as Map<String, Object?>;
  }

  /// Tells the governors of all sessions ([HappySessionOptions.governor]) what the app knows of the device. What is null is
  /// asked of the system, heat from Android 11 on. [headroom]: at least 0, 1 is severe heat; [thermalStatus]: Android's
  /// number, from 0 (none) to 6. It holds until the next call.
  static void reportDevice({double? headroom, int? thermalStatus, bool? batterySaver}) {
    final saver = batterySaver == null ? -1 : (batterySaver ? 1 : 0);
    check((error) => bindings.happy_report_device(headroom ?? double.nan, thermalStatus ?? -1, saver, error));
  }

  /// The number of native objects that exist: 0 when all are disposed of.
  static int get liveHandles => bindings.happy_live_handles();

  static String _usualPath() {
    if (Platform.isAndroid || Platform.isLinux) return 'libhappy.so';
    throw UnsupportedError('happy_phone_llm: no libhappy for ${Platform.operatingSystem}; set HappyLibrary.path to one');
  }

  static c.HappyBindings _open(String path) {
    final DynamicLibrary library;
    try {
      library = DynamicLibrary.open(path);
    } on ArgumentError catch (error) {
      throw HappyException(HappyStatus.system, 'cannot open $path: ${error.message}');
    }
    final bindings = c.HappyBindings(library);
    final found = bindings.happy_abi_version();
    if (found != c.HAPPY_ABI_VERSION) {
      throw HappyException(
        HappyStatus.unsupported,
        '$path has version $found of the interface, expected ${c.HAPPY_ABI_VERSION}',
      );
    }
    return bindings;
  }
}
