// Models, sessions and turns with the real library: they run where HAPPY_LIBRARY is the path of libhappy.so and HAPPY_MODEL
// that of a small chat model, and are reported as skipped elsewhere.

import 'dart:async';
import 'dart:io';

import 'package:flutter_test/flutter_test.dart';
import 'package:happy_phone_llm/happy_phone_llm.dart';

void main() {
  final library = Platform.environment['HAPPY_LIBRARY'];
  final path = Platform.environment['HAPPY_MODEL'];
  final skip = library == null || path == null ? 'HAPPY_LIBRARY and HAPPY_MODEL are not set' : false;
  if (library != null) HappyLibrary.path = library;
  final source = HappyModelSource.file(path ?? '');
  const options = HappyLoadOptions(context: 512);
  const greedy = HappyGenerateOptions(maxTokens: 16, sampler: HappySamplerOptions.greedy, coalesce: Duration.zero);
  const endless = HappyGenerateOptions(sampler: HappySamplerOptions.greedy, ignoreEnd: true);

  Future<void> withSession(Future<void> Function(HappySession session) body) async {
    final model = await HappyModel.open(source, options: options);
    final session = await HappySession.open(model);
    try {
      await body(session);
    } finally {
      await session.dispose();
      model.dispose();
    }
    expect(HappyLibrary.liveHandles, 0);
  }

  Future<String> answerOf(Stream<HappyEvent> turn) async {
    final text = StringBuffer();
    await for (final event in turn) {
      if (event is HappyAnswer) text.write(event.text);
    }
    return text.toString();
  }

  Matcher fails(HappyStatus status) => throwsA(isA<HappyException>().having((e) => e.status, 'status', status));

  group('with a model', skip: skip, () {
    test('loading tells its progress, and a plan its numbers', () async {
      final fractions = <double>[];
      final plan = await HappyModel.planOf(source, options: options);
      final model = await HappyModel.open(source, options: options, onProgress: fractions.add);
      expect(fractions, isNotEmpty);
      expect(fractions.last, closeTo(1, 1e-6));
      expect(plan.fits, isTrue);
      expect(model.plan.anonBytes, plan.anonBytes);
      expect(model.plan.context, 512);
      expect(model.info()['architecture'], isA<String>());
      expect(model.detokenize(model.tokenize('Hello, world')), 'Hello, world');
      model
        ..dispose()
        ..dispose();
      expect(() => model.plan, throwsStateError);
      expect(HappyLibrary.liveHandles, 0);
    });

    test('what cannot be loaded says why', () async {
      await expectLater(HappyModel.open(const HappyModelSource.file('/nowhere.gguf')), fails(HappyStatus.file));
      await expectLater(
        HappyModel.open(source, options: const HappyLoadOptions(memoryBudget: 1)),
        fails(HappyStatus.memory),
      );
      final cancel = HappyCancel()..raise();
      await expectLater(HappyModel.open(source, cancel: cancel), fails(HappyStatus.cancelled));
      cancel.dispose();
      expect(HappyLibrary.liveHandles, 0);
    });

    test('a turn is a stream that ends with what it took', () {
      return withSession((session) async {
        final events = await session.send('Say hello.', options: greedy).toList();
        expect(events.whereType<HappyAnswer>(), isNotEmpty);
        expect(events.last, isA<HappyDone>().having((e) => e.finish.generatedTokens, 'tokens', lessThanOrEqualTo(16)));
        expect((await session.lastFinish()).generatedTokens, (events.last as HappyDone).finish.generatedTokens);
        expect((await session.messages()).map((message) => message['role']), ['user', 'assistant']);
        expect((await session.memory()).positions, greaterThan(0));
      });
    });

    test('the same question gives the same answer after the conversation was cleared', () {
      return withSession((session) async {
        final first = await answerOf(session.send('Say hello.', options: greedy));
        await session.clear();
        expect(await answerOf(session.send('Say hello.', options: greedy)), first);
      });
    });

    test('a turn that is stopped ends as cancelled, and the next one works', () {
      return withSession((session) async {
        HappyEvent? last;
        await for (final event in session.send('Count.', options: endless)) {
          if (event is HappyAnswer) session.stop();
          last = event;
        }
        expect(last, isA<HappyDone>().having((e) => e.finish.reason, 'reason', HappyFinishReason.cancelled));
        expect(session.isAnswering, isFalse);
        expect(await answerOf(session.send('Say hello.', options: greedy)), isNotEmpty);
      });
    });

    test('a subscription that is cancelled stops the turn, also when it is paused', () {
      return withSession((session) async {
        for (final paused in [false, true]) {
          final heard = Completer<void>();
          final subscription = session.send('Count.', options: endless).listen((event) {
            if (event is HappyAnswer && !heard.isCompleted) heard.complete();
          });
          await heard.future;
          if (paused) subscription.pause();
          await subscription.cancel();
          expect(session.isAnswering, isFalse);
        }
      });
    });

    test('a paused subscription holds the computation', () {
      return withSession((session) async {
        final heard = Completer<void>();
        final subscription = session.send('Count.', options: endless).listen((event) {
          if (event is HappyAnswer && !heard.isCompleted) heard.complete();
        });
        await heard.future;
        subscription.pause();
        // The event that was being computed is the last; then the count stands still.
        await Future<void>.delayed(const Duration(seconds: 1));
        final before = (await session.memory()).positions;
        await Future<void>.delayed(const Duration(seconds: 1));
        expect((await session.memory()).positions, before);
        await subscription.cancel();
      });
    });

    test('a second turn and other changes are refused while one runs', () {
      return withSession((session) async {
        final heard = Completer<void>();
        final subscription = session.send('Count.', options: endless).listen((event) {
          if (event is HappyAnswer && !heard.isCompleted) heard.complete();
        });
        await heard.future;
        await expectLater(session.send('And?').toList(), fails(HappyStatus.busy));
        await expectLater(session.clear(), fails(HappyStatus.busy));
        await subscription.cancel();
      });
    });

    test('disposing ends a turn, and can be done twice', () async {
      final model = await HappyModel.open(source, options: options);
      final session = await HappySession.open(model);
      // A session keeps what it needs of its model.
      model.dispose();
      final done = session.send('Count.', options: endless).drain<void>();
      await Future<void>.delayed(const Duration(milliseconds: 200));
      await Future.wait([session.dispose(), session.dispose()]);
      await done;
      expect(() => session.send('Hello'), throwsStateError);
      expect(HappyLibrary.liveHandles, 0);
    });

    test('a conversation goes on from its file, and its last answer is given again', () async {
      final folder = await Directory.systemTemp.createTemp('happy');
      final file = '${folder.path}/chat.happy';
      String? first;
      await withSession((session) async {
        expect(await session.file(), isNull);
        await session.save(file);
        first = await answerOf(session.send('Say hello.', options: greedy));
        expect((await session.file())!.messages, 2);
      });
      await withSession((session) async {
        await session.restore(file);
        expect((await session.messages()).map((message) => message['role']), ['user', 'assistant']);
        expect(await session.branch(), 2);
        await session.regenerate();
        expect(await answerOf(session.answer(options: greedy)), first);
        expect((await session.lastFinish()).promptTokens, 1);
        await session.edit(0);
        expect(await session.messages(), isEmpty);
        await session.goToBranch(1);
        expect(await session.messages(), hasLength(2));
        await session.trim(HappyTrimLevel.sequences);
        expect((await session.memory()).positions, 0);
        expect(await answerOf(session.send('Again.', options: greedy)), isNotEmpty);
        expect((await session.reuse()).reusedTokens, greaterThan(0));
        expect((await session.file())!.problem, isNull);
        await session.closeFile();
        await expectLater(session.append(), fails(HappyStatus.invalidArgument));
        await expectLater(session.pin(), fails(HappyStatus.invalidArgument));
        expect((await session.reuse()).shiftedTokens, 0);
        expect(await session.governor(), isEmpty);
      });
      await folder.delete(recursive: true);
    });

    test('a wrong grammar is an error of the turn, and leaves the conversation as it was', () {
      return withSession((session) async {
        final turn = session.send('Hello', options: const HappyGenerateOptions(grammar: 'root ::= ('));
        await expectLater(turn.toList(), fails(HappyStatus.grammar));
        expect(await session.messages(), isEmpty);
      });
    });
  });
}
