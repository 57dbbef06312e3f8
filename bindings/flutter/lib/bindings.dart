/// The C interface as it is, for what the other library does not offer. Memory, handles and threads are the caller's.
library;

export 'src/bindings.dart';
