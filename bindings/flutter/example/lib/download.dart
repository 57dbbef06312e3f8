/// Downloads that go on where an earlier try ended.
///
/// ```text
/// NAME.partial is there    -> its bytes are hashed, and the server is asked for those after them
///   the answer is 206      -> they are added
///   the answer is 200      -> the server sends all of it: from the start
///   the answer is 416      -> there is nothing after them: they are deleted, and the next try is from the start
/// all bytes are there      -> NAME.partial becomes NAME
/// ```
/// Beside NAME.partial, NAME.etag keeps what the server calls this version of the file: bytes of two versions are never
/// joined.
library;

import 'dart:io';

import 'package:crypto/crypto.dart';

/// A download that was cancelled. What has arrived is kept for the next try.
class DownloadCancelled implements Exception {
  const DownloadCancelled();

  @override
  String toString() => 'the download was cancelled';
}

/// One try to download [url] to [target].
class Download {
  Download(this.url, this.target);

  /// Where the file is.
  final Uri url;

  /// The file that shall be there at the end.
  final File target;

  bool _cancelled = false;

  /// Ends the download, which then fails with [DownloadCancelled].
  void cancel() => _cancelled = true;

  /// Downloads, and gives the SHA-256 of the file. [onProgress] hears how many bytes are here, and of how many if that is
  /// known.
  Future<String> run(void Function(int received, int? total) onProgress) async {
    final partial = File('${target.path}.partial');
    final tagFile = File('${target.path}.etag');
    final digest = _DigestSink();
    var hasher = sha256.startChunkedConversion(digest);
    var received = 0;
    if (await partial.exists()) {
      await for (final chunk in partial.openRead()) {
        _check();
        hasher.add(chunk);
        received += chunk.length;
      }
    }
    // The bytes as they are: a length and a range of compressed bytes would be of no use.
    final client = HttpClient()..autoUncompress = false;
    try {
      final request = await client.getUrl(url);
      request.headers.set(HttpHeaders.acceptEncodingHeader, 'identity');
      if (received > 0) {
        request.headers.set(HttpHeaders.rangeHeader, 'bytes=$received-');
        if (await tagFile.exists()) request.headers.set(HttpHeaders.ifRangeHeader, await tagFile.readAsString());
      }
      final response = await request.close();
      switch (response.statusCode) {
        case HttpStatus.partialContent:
          final range = response.headers.value(HttpHeaders.contentRangeHeader) ?? '';
          if (!range.startsWith('bytes $received-')) {
            throw HttpException('asked for the bytes from $received on, the server sent "$range"', uri: url);
          }
        case HttpStatus.ok:
          hasher = sha256.startChunkedConversion(digest);
          received = 0;
        case HttpStatus.requestedRangeNotSatisfiable:
          await partial.delete();
          throw HttpException('the server has no bytes behind the first $received: try again', uri: url);
        default:
          throw HttpException('status ${response.statusCode} ${response.reasonPhrase}', uri: url);
      }
      final total = response.contentLength < 0 ? null : received + response.contentLength;
      await _keepTag(response, tagFile);
      final out = await partial.open(mode: received > 0 ? FileMode.append : FileMode.write);
      try {
        await for (final chunk in response) {
          _check();
          await out.writeFrom(chunk);
          hasher.add(chunk);
          received += chunk.length;
          onProgress(received, total);
        }
      } finally {
        await out.close();
      }
      if (total != null && received != total) {
        throw HttpException('the connection ended after $received of $total bytes: try again', uri: url);
      }
    } finally {
      client.close(force: true);
    }
    hasher.close();
    await partial.rename(target.path);
    if (await tagFile.exists()) await tagFile.delete();
    return digest.value.toString();
  }

  void _check() {
    if (_cancelled) throw const DownloadCancelled();
  }

  static Future<void> _keepTag(HttpClientResponse response, File tagFile) async {
    final tag = response.headers.value(HttpHeaders.etagHeader);
    // A weak tag may stand for other bytes.
    if (tag != null && !tag.startsWith('W/')) {
      await tagFile.writeAsString(tag);
    } else if (await tagFile.exists()) {
      await tagFile.delete();
    }
  }
}

/// Takes the one digest that a conversion gives.
class _DigestSink implements Sink<Digest> {
  Digest? value;

  @override
  void add(Digest data) => value = data;

  @override
  void close() {}
}
