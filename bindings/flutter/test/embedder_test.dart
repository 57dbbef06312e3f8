// Embedders with the real library: they run where HAPPY_LIBRARY is the path of libhappy.so and HAPPY_EMBEDDING_MODEL that of a
// small embedding model, and are reported as skipped elsewhere.

import 'dart:io';

import 'package:flutter_test/flutter_test.dart';
import 'package:happy_phone_llm/happy_phone_llm.dart';

void main() {
  final library = Platform.environment['HAPPY_LIBRARY'];
  final path = Platform.environment['HAPPY_EMBEDDING_MODEL'];
  final skip = library == null || path == null ? 'HAPPY_LIBRARY and HAPPY_EMBEDDING_MODEL are not set' : false;
  if (library != null) HappyLibrary.path = library;
  final source = HappyModelSource.file(path ?? '');
  const options = HappyLoadOptions(embeddings: true, context: 64);

  Matcher fails(HappyStatus status) => throwsA(isA<HappyException>().having((e) => e.status, 'status', status));

  group('with an embedding model', skip: skip, () {
    test('a vector does not depend on the texts beside its own', () async {
      final model = await HappyModel.open(source, options: options);
      final embedder = await HappyEmbedder.open(model);
      model.dispose();
      final together = await embedder.embed(['a small cat', 'a kitten', '']);
      expect(together.map((text) => text.values.length), everyElement(embedder.width));
      for (final (i, text) in ['a small cat', 'a kitten', ''].indexed) {
        final alone = await embedder.embed([text]);
        expect(alone.single.values, together[i].values);
        expect(alone.single.tokens, together[i].tokens);
      }
      expect(together[0].cosine(together[0]), closeTo(1, 1e-6));
      expect(together[0].cosine(together[1]), lessThan(1));
      expect(await embedder.embed([]), isEmpty);
      embedder
        ..dispose()
        ..dispose();
      expect(() => embedder.width, throwsStateError);
      expect(HappyLibrary.liveHandles, 0);
    });

    test('long texts are refused or shortened', () async {
      final model = await HappyModel.open(source, options: options);
      final text = 'word ' * 100;
      final strict = await HappyEmbedder.open(model);
      await expectLater(strict.embed([text]), fails(HappyStatus.contextFull));
      strict.dispose();
      final cutting = await HappyEmbedder.open(model, options: const HappyEmbedOptions(truncate: true));
      final found = (await cutting.embed([text])).single;
      expect(found.tokens, cutting.mostTokens);
      expect(found.leftOut, greaterThan(0));
      cutting.dispose();
      model.dispose();
      expect(HappyLibrary.liveHandles, 0);
    });

    test('a raised token ends a call, and a model for sessions gives no embedder', () async {
      final model = await HappyModel.open(source, options: options);
      final embedder = await HappyEmbedder.open(model);
      final cancel = HappyCancel()..raise();
      await expectLater(embedder.embed(['a'], cancel: cancel), fails(HappyStatus.cancelled));
      cancel.dispose();
      embedder.dispose();
      model.dispose();
      expect(HappyLibrary.liveHandles, 0);
    });
  });
}
