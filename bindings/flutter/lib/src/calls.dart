/// Calling C: texts in and out, errors as exceptions, memory that is always given back.
library;

import 'dart:convert';
import 'dart:ffi';
import 'dart:typed_data';

import 'package:ffi/ffi.dart';

import 'bindings.dart' as c;
import 'exception.dart';
import 'library.dart';

/// Where a call puts its error.
typedef ErrorSlot = Pointer<Pointer<c.HappyError>>;

/// Makes a call that can fail, and throws a [HappyException] if it does.
void check(int Function(ErrorSlot error) call) {
  final slot = calloc<Pointer<c.HappyError>>();
  try {
    final status = call(slot);
    if (status != c.HappyStatus.HAPPY_OK) throw _exception(status, slot.value);
  } finally {
    calloc.free(slot);
  }
}

/// The error that a call left, which is freed.
HappyException _exception(int code, Pointer<c.HappyError> error) {
  final status = HappyStatus.fromCode(code);
  if (error == nullptr) return HappyException(status, 'libhappy gave status $code and no message');
  final bindings = HappyLibrary.bindings;
  return using((arena) {
    final length = arena<Size>();
    final data = bindings.happy_error_message(error, length);
    final message = decode(data, length.value);
    bindings.happy_error_free(error);
    return HappyException(status, message);
  });
}

/// The handle that a call gives, as a number: it is never dereferenced, and numbers can be sent to other isolates.
int readHandle(int Function(Pointer<Pointer<Void>> out, ErrorSlot error) call) {
  return using((arena) {
    final out = arena<Pointer<Void>>();
    check((error) => call(out, error));
    return out.value.address;
  });
}

/// The bytes that a call gives; the native ones are freed.
Uint8List readBytes(int Function(Pointer<c.HappyString> out, ErrorSlot error) call) {
  return using((arena) {
    final out = arena<c.HappyString>();
    check((error) => call(out, error));
    try {
      final data = out.ref.data;
      if (data == nullptr) return Uint8List(0);
      return Uint8List.fromList(data.cast<Uint8>().asTypedList(out.ref.len));
    } finally {
      HappyLibrary.bindings.happy_string_free(out);
    }
  });
}

/// The text that a call gives.
String readString(int Function(Pointer<c.HappyString> out, ErrorSlot error) call) {
  return utf8.decode(readBytes(call), allowMalformed: true);
}

/// The text of [length] bytes at [data].
String decode(Pointer<Char> data, int length) {
  if (data == nullptr || length == 0) return '';
  return utf8.decode(data.cast<Uint8>().asTypedList(length), allowMalformed: true);
}

/// [text] as UTF-8 in memory of [allocator], and its length in bytes. The pointer is never null: for some functions
/// a null text means something else than an empty one.
(Pointer<Char>, int) encode(String text, Allocator allocator) {
  final bytes = utf8.encode(text);
  final data = allocator<Uint8>(bytes.length + 1);
  data.asTypedList(bytes.length).setAll(0, bytes);
  return (data.cast<Char>(), bytes.length);
}

/// Sets [target], a part of a struct in native memory, to [text].
void setText(c.HappyText target, String text, Allocator allocator) {
  final (data, length) = encode(text, allocator);
  target.data = data;
  target.len = length;
}

/// [texts] as an array; null if the list is empty.
Pointer<c.HappyText> encodeAll(List<String> texts, Allocator allocator) {
  if (texts.isEmpty) return nullptr;
  final array = allocator<c.HappyText>(texts.length);
  for (var i = 0; i < texts.length; i += 1) {
    setText(array[i], texts[i], allocator);
  }
  return array;
}
