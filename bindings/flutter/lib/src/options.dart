/// How to load, to begin and to generate. What is null takes the library's default.
library;

import 'dart:convert';
import 'dart:ffi';

import 'bindings.dart' as c;
import 'calls.dart';
import 'library.dart';
import 'sampler.dart';
import 'values.dart';

/// A part of a file that is open.
final class HappyFilePart {
  /// [length] bytes (0: all) from [offset] on, like an asset of an Android package. The descriptor may be closed when the
  /// call that takes it has ended.
  const HappyFilePart(this.descriptor, {this.offset = 0, this.length = 0});

  /// The file descriptor.
  final int descriptor;

  /// The first byte of the part.
  final int offset;

  /// Bytes of the part; 0: to the end of the file.
  final int length;
}

/// Where a model is.
final class HappyModelSource {
  /// The file at [path]; of a split model any part, next to the others.
  const HappyModelSource.file(String this.path) : parts = const [];

  /// A model in a part of a file that is open.
  HappyModelSource.descriptor(int descriptor, {int offset = 0, int length = 0})
      : path = null,
        parts = [HappyFilePart(descriptor, offset: offset, length: length)];

  /// A split model in parts of files that are open, in any order.
  const HappyModelSource.parts(this.parts) : path = null;

  /// The path, if it is a file's.
  final String? path;

  /// The parts, if [path] is null.
  final List<HappyFilePart> parts;

  /// The parts as the library takes them.
  Pointer<c.HappyFilePart> toNative(Allocator allocator) {
    final native = allocator<c.HappyFilePart>(parts.length);
    for (final (i, part) in parts.indexed) {
      native[i]
        ..fd = part.descriptor
        ..reserved = 0
        ..offset = part.offset
        ..length = part.length;
    }
    return native;
  }
}

/// Element type of the KV cache.
enum HappyKvType {
  /// 16-bit floats.
  f16(c.HappyKvType.HAPPY_KV_F16),

  /// 32-bit floats: twice the memory.
  f32(c.HappyKvType.HAPPY_KV_F32),

  /// 8-bit integers with a scale for every 32: little more than half the memory. For models whose heads are multiples of 32
  /// wide, without latent attention; others are refused.
  q8(c.HappyKvType.HAPPY_KV_Q8_0);

  const HappyKvType(this.code);

  /// The number of the type in C.
  final int code;
}

/// How to load a model.
final class HappyLoadOptions {
  /// Options; all of them have defaults.
  const HappyLoadOptions({
    // <HappyLoadOptions constructor>
    this.threads,
    this.context,
    this.batch,
    this.memoryBudget,
    this.instructionSet,
    this.kvType,
    this.copy = false,
    this.adapters = const [],
    this.adapterRank,
    this.embeddings = false,
    this.snapshotBytes,
    this.branches,
    this.draftTokens,
    this.branchBytes,
    this.draftHead = false,
    // </HappyLoadOptions constructor>
  });

  // <HappyLoadOptions fields>
  /// Number of threads, including the caller's, at most 256. 0, the default: all big cores but one, or all cores if they
  /// are equal.
  final int? threads;

  /// Size of a session's context in tokens. 0, the default: what the model was trained for, but at most 4,096 and what
  /// fits the budget.
  final int? context;

  /// Maximum number of prompt tokens in one pass. Results do not depend on it. 0 and the default: 256.
  final int? batch;

  /// Maximum bytes of anonymous memory for the model and one session. 0, the default: what the machine has free, or less
  /// if the limits of the process are lower.
  final int? memoryBudget;

  /// Instruction set, such as `scalar`, `avx2` or `dotprod`; [HappyLibrary.cpu] lists those of this machine, and another
  /// one gives [HappyStatus.unsupported]. Empty, the default: the best that the machine has.
  final String? instructionSet;

  /// Element type of the KV cache, a [HappyKvType]. Default: [HappyKvType.f16].
  final HappyKvType? kvType;

  /// False, the default: map the file, which no program may write to or truncate while the model is loaded. True: read it
  /// into anonymous memory.
  final bool copy;

  /// Adapters (LoRA) with which sessions begin, in the order in which their results are added. Each is the path of a
  /// file, or `FILE=SCALE`; the scale is 1 if none is given. Not set: no adapters.
  final List<String> adapters;

  /// Maximum rank of adapters to plan for: the sum of the ranks of all adapters that a session uses at once. 0, the
  /// default: that of `adapters`.
  final int? adapterRank;

  /// True: load for embedders instead of sessions. A text runs in one pass, several texts share one, and there are no
  /// logits; sessions of such a model cannot generate. False, the default: load for sessions.
  final bool embeddings;

  /// Maximum bytes for snapshots. In models with windows or recurrent states, a conversation can go back only to a
  /// snapshot; without one, it is computed again from the beginning. At most an eighth of the memory budget is taken, and
  /// nothing for models that need no snapshots. Default: 33554432 (32 MiB); 0: no snapshots.
  final int? snapshotBytes;

  /// Number of prompts that a session keeps computed in addition to that of its conversation: for branches, edits and
  /// pinned prefixes. Default: 0.
  final int? branches;

  /// Maximum number of tokens, from 0 to 7, that sessions guess from their own texts and compute ahead. If a text repeats
  /// its prompt, as an edit or a summary does, answers come faster, with the same words. Each guess takes memory for its
  /// logits; if memory is short, fewer are guessed. Default: 0, no guesses.
  final int? draftTokens;

  /// Bytes for the keys and values that the prompts of `branches` don't share with the conversation. If they need more,
  /// the least recently used are dropped. Default: 0.
  final int? branchBytes;

  /// True: sessions also guess with the file's draft head (multi-token prediction), if [draftTokens] is not 0. A file
  /// without one is refused with [HappyStatus.model]. False, the default: they guess from their texts alone.
  final bool draftHead;
  // </HappyLoadOptions fields>

  /// These options in memory of [allocator].
  Pointer<c.HappyLoadOptions> toNative(Allocator allocator) {
    final native = allocator<c.HappyLoadOptions>();
    final size = sizeOf<c.HappyLoadOptions>();
    check((error) => HappyLibrary.bindings.happy_load_options_init(native, size, error));
    final it = native.ref;
    // <HappyLoadOptions native>
    it.threads = threads ?? it.threads;
    it.context = context ?? it.context;
    it.batch = batch ?? it.batch;
    it.memory_budget = memoryBudget ?? it.memory_budget;
    final instructionSet = this.instructionSet;
    if (instructionSet != null) setText(it.isa, instructionSet, allocator);
    it.kv_type = kvType?.code ?? it.kv_type;
    it.copy = copy ? 1 : 0;
    it.adapters = encodeAll(adapters, allocator);
    it.n_adapters = adapters.length;
    it.adapter_rank = adapterRank ?? it.adapter_rank;
    it.embeddings = embeddings ? 1 : 0;
    it.snapshot_bytes = snapshotBytes ?? it.snapshot_bytes;
    it.branches = branches ?? it.branches;
    it.draft_tokens = draftTokens ?? it.draft_tokens;
    it.branch_bytes = branchBytes ?? it.branch_bytes;
    it.draft_head = draftHead ? 1 : 0;
    // </HappyLoadOptions native>
    return native;
  }
}

/// What a session begins with.
final class HappySessionOptions {
  /// Options; all of them have defaults.
  const HappySessionOptions({
    // <HappySessionOptions constructor>
    this.ignoreUnused = false,
    this.system,
    this.tools = const [],
    this.templateVariables = const {},
    this.contextPolicy,
    this.fileKey,
    this.governor,
    this.governorCache,
    // </HappySessionOptions constructor>
  });

  // <HappySessionOptions fields>
  /// True: answer even if the chat template has no place for the system message, the tools or a variable, which the model
  /// then never sees. False, the default: such a turn fails with [HappyStatus.template].
  final bool ignoreUnused;

  /// The system message. Empty: no system message.
  final String? system;

  /// A JSON array of tools that the model may call, as its template takes them (mostly OpenAI's form). Empty: no tools.
  final List<Map<String, Object?>> tools;

  /// A JSON object with additional variables for the template, such as `{"enable_thinking": false}`. Empty: no variables.
  final Map<String, Object?> templateVariables;

  /// What happens when the messages leave too little of the context for an answer: `stop` (the turn fails with
  /// [HappyStatus.contextFull]), `drop-oldest` (the prompt leaves the oldest turns out; [HappySession.reuse] tells how
  /// many messages), or `shift` (as `drop-oldest`, and an answer that fills the context goes on without the older half of
  /// it: its text differs from then on; [HappySession.reuse] tells how many tokens). Empty: `stop`.
  final String? contextPolicy;

  /// Key that seals the session's files (XChaCha20-Poly1305): 32 random bytes as 64 hexadecimal digits. Empty: files are
  /// not sealed.
  final String? fileKey;

  /// Lets a governor choose the number of threads, up to those of the plan, and the pace, by measured speed and what the
  /// system and [HappyLibrary.reportDevice] tell of heat: `fastest` (as fast as the device can sustain), `rate=8` (at
  /// most 8 tokens per second, with little energy; 0.01 to 1,000,000) or `energy=0.3` (up to 30% slower, to save energy;
  /// 0 to 0.9). The words don't depend on it. Empty: all threads, without pauses.
  final String? governor;

  /// Path of a file in which the governor keeps measured speeds, so that the next session begins with them. Empty: each
  /// session measures during its first answer, for a second or two.
  final String? governorCache;
  // </HappySessionOptions fields>

  /// These options in memory of [allocator].
  Pointer<c.HappySessionOptions> toNative(Allocator allocator) {
    final native = allocator<c.HappySessionOptions>();
    final size = sizeOf<c.HappySessionOptions>();
    check((error) => HappyLibrary.bindings.happy_session_options_init(native, size, error));
    final it = native.ref;
    // <HappySessionOptions native>
    it.ignore_unused = ignoreUnused ? 1 : 0;
    final system = this.system;
    if (system != null) setText(it.system, system, allocator);
    if (tools.isNotEmpty) setText(it.tools, jsonEncode(tools), allocator);
    if (templateVariables.isNotEmpty) setText(it.template_vars, jsonEncode(templateVariables), allocator);
    final contextPolicy = this.contextPolicy;
    if (contextPolicy != null) setText(it.context_policy, contextPolicy, allocator);
    final fileKey = this.fileKey;
    if (fileKey != null) setText(it.file_key, fileKey, allocator);
    final governor = this.governor;
    if (governor != null) setText(it.governor, governor, allocator);
    final governorCache = this.governorCache;
    if (governorCache != null) setText(it.governor_cache, governorCache, allocator);
    // </HappySessionOptions native>
    return native;
  }
}

/// How to generate.
final class HappyGenerateOptions {
  /// Options; all of them have defaults.
  const HappyGenerateOptions({
    // <HappyGenerateOptions constructor>
    this.maxTokens,
    this.sampler,
    this.stop = const [],
    this.grammar,
    this.jsonSchema,
    this.coalesce = const Duration(milliseconds: 33),
    this.coalesceBytes,
    this.dropCancelled = false,
    this.ignoreEnd = false,
    this.toolChoice,
    // </HappyGenerateOptions constructor>
  });

  // <HappyGenerateOptions fields>
  /// Maximum number of generated tokens. 0, the default: until the context is full.
  final int? maxTokens;

  /// How tokens are chosen. Not set: the defaults.
  final HappySamplerOptions? sampler;

  /// Texts that end the answer and are not part of it.
  final List<String> stop;

  /// A GBNF grammar that the text must match. Empty: any text.
  final String? grammar;

  /// A JSON schema that the text must match. Empty: any text. Not together with a grammar.
  final String? jsonSchema;

  /// Deliver text when this much time has passed since the last text event. 0, the default: never because of time.
  final Duration coalesce;

  /// Deliver text when this many bytes of UTF-8 have come. 0, the default: never because of size. If both are 0, text is
  /// delivered at once.
  final int? coalesceBytes;

  /// True: take the whole turn back when it is cancelled. False, the default: keep what was answered as the assistant's
  /// message.
  final bool dropCancelled;

  /// True: continue when the model wants to end its answer. False, the default: end there.
  final bool ignoreEnd;

  /// Whether the model calls tools: `auto` (it decides), `none`, `required` (at least one call), or the name of a tool
  /// (at least one call, all of this tool). Empty: `auto`. Not used with `raw`.
  final String? toolChoice;
  // </HappyGenerateOptions fields>

  /// These options in memory of [allocator], without sampler and cancel token.
  Pointer<c.HappyGenerateOptions> toNative(Allocator allocator) {
    final native = allocator<c.HappyGenerateOptions>();
    final size = sizeOf<c.HappyGenerateOptions>();
    check((error) => HappyLibrary.bindings.happy_generate_options_init(native, size, error));
    final it = native.ref;
    // <HappyGenerateOptions native>
    it.max_tokens = maxTokens ?? it.max_tokens;
    it.stop = encodeAll(stop, allocator);
    it.n_stop = stop.length;
    final grammar = this.grammar;
    if (grammar != null) setText(it.grammar, grammar, allocator);
    final jsonSchema = this.jsonSchema;
    if (jsonSchema != null) setText(it.json_schema, jsonSchema, allocator);
    it.coalesce_ms = coalesce.inMilliseconds;
    it.coalesce_bytes = coalesceBytes ?? it.coalesce_bytes;
    it.drop_cancelled = dropCancelled ? 1 : 0;
    it.ignore_end = ignoreEnd ? 1 : 0;
    final toolChoice = this.toolChoice;
    if (toolChoice != null) setText(it.tool_choice, toolChoice, allocator);
    // </HappyGenerateOptions native>
    return native;
  }
}

/// How texts become vectors.
final class HappyEmbedOptions {
  /// Options; all of them have defaults.
  const HappyEmbedOptions({
    // <HappyEmbedOptions constructor>
    this.pooling,
    this.dimensions,
    this.unnormalized = false,
    this.truncate = false,
    // </HappyEmbedOptions constructor>
  });

  // <HappyEmbedOptions fields>
  /// How the hidden states of a text become one vector, a [HappyPooling]. Default: as the model's file says; a file that
  /// does not say it is an error.
  final HappyPooling? pooling;

  /// Number of values at the beginning of each vector to keep, for models that were trained for it (Matryoshka). 0, the
  /// default: all.
  final int? dimensions;

  /// True: leave vectors as the model gives them. False, the default: divide them by their length, so that their dot
  /// product is their cosine. Ranks are never divided.
  final bool unnormalized;

  /// True: shorten texts of more tokens than the context; the special token at the end stays there. False, the default:
  /// such texts give [HappyStatus.contextFull].
  final bool truncate;
  // </HappyEmbedOptions fields>

  /// These options in memory of [allocator].
  Pointer<c.HappyEmbedOptions> toNative(Allocator allocator) {
    final native = allocator<c.HappyEmbedOptions>();
    final size = sizeOf<c.HappyEmbedOptions>();
    check((error) => HappyLibrary.bindings.happy_embed_options_init(native, size, error));
    final it = native.ref;
    // <HappyEmbedOptions native>
    it.pooling = pooling?.code ?? it.pooling;
    it.dimensions = dimensions ?? it.dimensions;
    it.unnormalized = unnormalized ? 1 : 0;
    it.truncate = truncate ? 1 : 0;
    // </HappyEmbedOptions native>
    return native;
  }
}
