// Texts and structs in native memory. These tests need no libhappy.

import 'dart:ffi';

import 'package:ffi/ffi.dart';
import 'package:flutter_test/flutter_test.dart';
import 'package:happy_phone_llm/happy_phone_llm.dart';
import 'package:happy_phone_llm/src/bindings.dart' as c;
import 'package:happy_phone_llm/src/calls.dart';
import 'package:happy_phone_llm/src/events.dart';
import 'package:happy_phone_llm/src/exception.dart';

void main() {
  group('text', () {
    const cases = [
      ('', 0),
      ('a', 1),
      ('nul\u0000inside', 10),
      ('grüße', 7),
      ('日本', 6),
      ('🙂', 4),
    ];
    for (final (text, bytes) in cases) {
      test('"$text" has $bytes bytes and comes back', () {
        using((arena) {
          final (data, length) = encode(text, arena);
          expect(length, bytes);
          expect(data, isNot(nullptr));
          expect(decode(data, length), text);
        });
      });
    }

    test('half a surrogate pair and half a character become U+FFFD', () {
      using((arena) {
        final (data, length) = encode('a\ud83d', arena);
        expect(decode(data, length), 'a\ufffd');
        final (whole, _) = encode('🙂', arena);
        expect(decode(whole, 3), '\ufffd');
      });
    });

    test('nothing is an empty text', () {
      expect(decode(nullptr, 0), '');
    });

    test('arrays keep their order', () {
      using((arena) {
        expect(encodeAll(const [], arena), nullptr);
        final array = encodeAll(const ['one', '', 'three'], arena);
        final found = [for (var i = 0; i < 3; i += 1) decode(array[i].data, array[i].len)];
        expect(found, ['one', '', 'three']);
      });
    });
  });

  group('events', () {
    HappyEvent? read(int kind) {
      return using((arena) {
        final event = arena<c.HappyEvent>();
        event.ref
          ..kind = kind
          ..call = 2
          ..done = 3
          ..total = 4;
        setText(event.ref.text, 'text', arena);
        setText(event.ref.name, 'name', arena);
        setText(event.ref.id, 'id', arena);
        final finish = arena<c.HappyFinish>();
        finish.ref.reason = c.HappyFinishReason.HAPPY_FINISH_LENGTH;
        finish.ref.generated_tokens = 5;
        return readEvent(event.ref, () => HappyFinish.read(finish.ref));
      });
    }

    test('have the fields of their kinds', () {
      expect(read(c.HappyEventKind.HAPPY_EVENT_PREFILL), isA<HappyPrefill>().having((e) => (e.done, e.total), '', (3, 4)));
      expect(read(c.HappyEventKind.HAPPY_EVENT_TEXT), isA<HappyAnswer>().having((e) => e.text, 'text', 'text'));
      expect(read(c.HappyEventKind.HAPPY_EVENT_REASONING), isA<HappyReasoning>().having((e) => e.text, 'text', 'text'));
      expect(
        read(c.HappyEventKind.HAPPY_EVENT_TOOL_CALL_START),
        isA<HappyToolCallStart>().having((e) => (e.call, e.name, e.id), '', (2, 'name', 'id')),
      );
      expect(
        read(c.HappyEventKind.HAPPY_EVENT_TOOL_CALL_ARGUMENTS),
        isA<HappyToolCallArguments>().having((e) => (e.call, e.text), '', (2, 'text')),
      );
      expect(
        read(c.HappyEventKind.HAPPY_EVENT_TOOL_CALL),
        isA<HappyToolCall>().having((e) => (e.call, e.name, e.arguments, e.id), '', (2, 'name', 'text', 'id')),
      );
      expect(
        read(c.HappyEventKind.HAPPY_EVENT_MALFORMED_CALL),
        isA<HappyMalformedCall>().having((e) => (e.call, e.reason), '', (2, 'text')),
      );
      expect(
        read(c.HappyEventKind.HAPPY_EVENT_DONE),
        isA<HappyDone>()
            .having((e) => e.finish.reason, 'reason', HappyFinishReason.length)
            .having((e) => e.finish.generatedTokens, 'tokens', 5),
      );
    });

    test('of a newer library are passed over', () {
      expect(read(1000), isNull);
    });
  });

  group('statuses', () {
    test('have the numbers of C', () {
      expect(HappyStatus.fromCode(c.HappyStatus.HAPPY_BUSY), HappyStatus.busy);
      expect(HappyStatus.fromCode(c.HappyStatus.HAPPY_INTERNAL), HappyStatus.internal);
      expect(HappyStatus.fromCode(1000), HappyStatus.other);
    });

    test('of other errors can be sent to other isolates', () {
      const failure = HappyException(HappyStatus.file, 'no file');
      expect(sendable(failure), same(failure));
      expect(sendable(StateError('late')).toString(), 'HappyException(other): Bad state: late');
    });
  });
}
