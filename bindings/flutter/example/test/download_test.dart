// Downloads from a server of this machine: whole, in two tries, of a file that changed meanwhile.

import 'dart:io';
import 'dart:typed_data';

import 'package:crypto/crypto.dart';
import 'package:flutter_test/flutter_test.dart';
import 'package:happy_chat/download.dart';

void main() {
  final bytes = Uint8List.fromList([for (var i = 0; i < 100000; i += 1) i * i & 0xff]);
  final expected = sha256.convert(bytes).toString();
  late Directory folder;
  late HttpServer server;
  late List<String?> ranges;

  setUp(() async {
    folder = await Directory.systemTemp.createTemp('happy_download');
    server = await HttpServer.bind(InternetAddress.loopbackIPv4, 0);
    ranges = [];
    server.listen((request) async {
      final range = request.headers.value(HttpHeaders.rangeHeader);
      ranges.add(range);
      final response = request.response;
      response.headers.set(HttpHeaders.etagHeader, '"two"');
      final condition = request.headers.value(HttpHeaders.ifRangeHeader);
      var from = 0;
      if (range != null && (condition == null || condition == '"two"')) {
        from = int.parse(range.substring('bytes='.length, range.length - 1));
        if (from >= bytes.length) {
          response.statusCode = HttpStatus.requestedRangeNotSatisfiable;
          await response.close();
          return;
        }
        response.statusCode = HttpStatus.partialContent;
        response.headers.set(HttpHeaders.contentRangeHeader, 'bytes $from-${bytes.length - 1}/${bytes.length}');
      }
      response.contentLength = bytes.length - from;
      response.add(bytes.sublist(from));
      await response.close();
    });
  });

  tearDown(() async {
    await server.close(force: true);
    await folder.delete(recursive: true);
  });

  Download download() => Download(
        Uri.parse('http://${server.address.host}:${server.port}/model.gguf'),
        File('${folder.path}/model.gguf'),
      );

  Future<void> leftBehind(int count, {String? tag}) async {
    await File('${folder.path}/model.gguf.partial').writeAsBytes(bytes.sublist(0, count));
    if (tag != null) await File('${folder.path}/model.gguf.etag').writeAsString(tag);
  }

  Future<void> expectWhole() async {
    expect(await File('${folder.path}/model.gguf').readAsBytes(), bytes);
    expect(folder.listSync().map((entry) => entry.uri.pathSegments.last), ['model.gguf']);
  }

  test('a file comes whole, with its digest and its progress', () async {
    final heard = <(int, int?)>[];
    expect(await download().run((received, total) => heard.add((received, total))), expected);
    expect(heard.last, (bytes.length, bytes.length));
    await expectWhole();
  });

  test('a second try asks for the rest, and the digest is of all of it', () async {
    await leftBehind(40000, tag: '"two"');
    expect(await download().run((received, total) {}), expected);
    expect(ranges, ['bytes=40000-']);
    await expectWhole();
  });

  test('a file that changed meanwhile comes from the start', () async {
    await leftBehind(40000, tag: '"one"');
    expect(await download().run((received, total) {}), expected);
    await expectWhole();
  });

  test('nothing behind what is here: the next try is from the start', () async {
    await leftBehind(bytes.length, tag: '"two"');
    await expectLater(download().run((received, total) {}), throwsA(isA<HttpException>()));
    expect(await download().run((received, total) {}), expected);
    expect(ranges, ['bytes=${bytes.length}-', null]);
    await expectWhole();
  });

  test('cancelling keeps what is here', () async {
    await leftBehind(40000);
    final cancelled = download()..cancel();
    await expectLater(cancelled.run((received, total) {}), throwsA(isA<DownloadCancelled>()));
    expect(await File('${folder.path}/model.gguf.partial').length(), 40000);
  });
}
