/// Language models on the CPU: load a [HappyModel], open a [HappySession], listen to what it answers.
///
/// ```dart
/// final model = await HappyModel.open(HappyModelSource.file(path));
/// final session = await HappySession.open(model);
/// await for (final event in session.send('Why is the sky blue?')) {
///   if (event case HappyAnswer(:final text)) stdout.write(text);
/// }
/// await session.dispose();
/// model.dispose();
/// ```
library;

export 'src/cancel.dart';
export 'src/embedder.dart';
export 'src/events.dart' hide readEvent;
export 'src/exception.dart' hide sendable;
export 'src/library.dart';
export 'src/model.dart';
export 'src/options.dart';
export 'src/sampler.dart';
export 'src/session.dart';
export 'src/values.dart';
