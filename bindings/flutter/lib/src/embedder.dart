/// Texts to vectors, documents to ranks.
library;

import 'dart:ffi';
import 'dart:isolate';

import 'package:ffi/ffi.dart';

import 'bindings.dart' as c;
import 'calls.dart';
import 'cancel.dart';
import 'exception.dart';
import 'library.dart';
import 'model.dart';
import 'options.dart';
import 'values.dart';

/// Turns texts into vectors, or ranks documents, with a model that was loaded with [HappyLoadOptions.embeddings].
///
/// Each call computes in an isolate of its own, so that the app goes on drawing. One call runs at a time: others fail with
/// [HappyStatus.busy].
final class HappyEmbedder implements Finalizable {
  HappyEmbedder._(this._address) {
    _finalizer.attach(this, Pointer<Void>.fromAddress(_address), detach: this);
  }

  static final NativeFinalizer _finalizer =
      NativeFinalizer(HappyLibrary.bindings.library.lookup<NativeFinalizerFunction>('happy_embedder_free'));

  final int _address;
  bool _disposed = false;

  /// Makes an embedder for [model]: memory and threads as planned. A model that was loaded without
  /// [HappyLoadOptions.embeddings] gives [HappyStatus.invalidArgument].
  static Future<HappyEmbedder> open(
    HappyModel model, {
    HappyEmbedOptions options = const HappyEmbedOptions(),
  }) async {
    final (path, handle) = (HappyLibrary.path, model.address);
    return HappyEmbedder._(await Isolate.run(() => _open(path, handle, options)));
  }

  /// The native handle as a number, for other isolates.
  int get address {
    if (_disposed) throw StateError('the embedder was disposed of');
    return _address;
  }

  /// The vectors of [texts], in their order. As many as fit are computed together; a vector does not depend on the
  /// other texts. [cancel] ends it early, with [HappyStatus.cancelled]. A text of more than [mostTokens] tokens is an
  /// error unless [HappyEmbedOptions.truncate] is set; so is a text without tokens.
  Future<List<HappyEmbedding>> embed(List<String> texts, {HappyCancel? cancel}) {
    final (path, handle, flag) = (HappyLibrary.path, address, cancel?.address ?? 0);
    return Isolate.run(() => _embed(path, handle, texts, flag));
  }

  /// [documents] by how well they match [query], best first; of equal scores the earlier document comes first. It needs a model
  /// with a classifier and [HappyPooling.rank].
  Future<List<HappyRank>> rank(String query, List<String> documents, {HappyCancel? cancel}) {
    final (path, handle, flag) = (HappyLibrary.path, address, cancel?.address ?? 0);
    return Isolate.run(() => _rank(path, handle, query, documents, flag));
  }

  /// How hidden states become vectors; never [HappyPooling.model].
  HappyPooling get pooling => _info((info) => HappyPooling.fromCode(info.pooling));

  /// Values of a vector.
  int get width => _info((info) => info.width);

  /// Maximum number of tokens of a text.
  int get mostTokens => _info((info) => info.most_tokens);

  T _info<T>(T Function(c.HappyEmbedderInfo info) read) {
    final handle = Pointer<c.HappyEmbedder>.fromAddress(address);
    return using((arena) {
      final info = arena<c.HappyEmbedderInfo>();
      info.ref.size = sizeOf<c.HappyEmbedderInfo>();
      check((error) => HappyLibrary.bindings.happy_embedder_info(handle, info, error));
      return read(info.ref);
    });
  }

  /// Frees the embedder. A call that is still running continues to its end. Doing it again does nothing.
  void dispose() {
    if (_disposed) return;
    _disposed = true;
    _finalizer.detach(this);
    HappyLibrary.bindings.happy_embedder_free(Pointer<c.HappyEmbedder>.fromAddress(_address));
  }
}

// What follows runs in isolates of its own.

int _open(String path, int model, HappyEmbedOptions options) {
  HappyLibrary.path = path;
  final handle = Pointer<c.HappyModel>.fromAddress(model);
  return using((arena) {
    final native = options.toNative(arena);
    return readHandle((out, error) => HappyLibrary.bindings.happy_embedder_new(handle, native, out.cast(), error));
  });
}

List<HappyEmbedding> _embed(String path, int embedder, List<String> texts, int cancel) {
  HappyLibrary.path = path;
  final bindings = HappyLibrary.bindings;
  final handle = Pointer<c.HappyEmbedder>.fromAddress(embedder);
  final flag = Pointer<c.HappyCancel>.fromAddress(cancel);
  return using((arena) {
    final native = encodeAll(texts, arena);
    final address = readHandle(
      (out, error) => bindings.happy_embed(handle, native, texts.length, flag, out.cast(), error),
    );
    final found = Pointer<c.HappyEmbeddings>.fromAddress(address);
    try {
      final text = arena<c.HappyEmbedding>();
      return [
        for (var i = 0; i < texts.length; i += 1) _text(bindings, found, i, text),
      ];
    } finally {
      bindings.happy_embeddings_free(found);
    }
  });
}

HappyEmbedding _text(
  c.HappyBindings bindings,
  Pointer<c.HappyEmbeddings> found,
  int index,
  Pointer<c.HappyEmbedding> text,
) {
  text.ref.size = sizeOf<c.HappyEmbedding>();
  check((error) => bindings.happy_embeddings_get(found, index, text, error));
  return HappyEmbedding.read(text.ref);
}

List<HappyRank> _rank(String path, int embedder, String query, List<String> documents, int cancel) {
  HappyLibrary.path = path;
  final bindings = HappyLibrary.bindings;
  final handle = Pointer<c.HappyEmbedder>.fromAddress(embedder);
  final flag = Pointer<c.HappyCancel>.fromAddress(cancel);
  return using((arena) {
    final (data, length) = encode(query, arena);
    final native = encodeAll(documents, arena);
    final count = documents.length;
    // One more, so that there is memory for none.
    final ranks = arena<c.HappyRank>(count + 1);
    check((error) => bindings.happy_rerank(handle, data, length, native, count, flag, ranks, error));
    return [for (var i = 0; i < count; i += 1) HappyRank.read(ranks[i])];
  });
}
