// Sizes in words.

import 'package:flutter_test/flutter_test.dart';
import 'package:happy_chat/sizes.dart';

void main() {
  const cases = [
    (0, '0 B'),
    (999, '999 B'),
    (1000, '1.0 kB'),
    (123456, '123 kB'),
    (1234567890, '1.2 GB'),
    (1234567890123456, '1235 TB'),
  ];
  for (final (bytes, words) in cases) {
    test('$bytes bytes are $words', () => expect(sized(bytes), words));
  }
}
