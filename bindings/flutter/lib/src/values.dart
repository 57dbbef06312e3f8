/// What the library tells in structs, as Dart values.
library;

import 'dart:ffi';
import 'dart:math';
import 'dart:typed_data';

import 'bindings.dart' as c;

/// The memory that running a model takes.
final class HappyPlan {
  /// The values of a native plan.
  HappyPlan.read(c.HappyPlan plan)
      : fits = plan.fits != 0,
        anonBytes = plan.anon_bytes,
        budgetBytes = plan.budget_bytes,
        weightBytes = plan.weight_bytes,
        kvBytes = plan.kv_bytes,
        scratchBytes = plan.scratch_bytes,
        tokenizerBytes = plan.tokenizer_bytes,
        context = plan.context,
        fittingContext = plan.fitting_context,
        batch = plan.batch,
        threads = plan.threads,
        weightsCopied = plan.weights_copied != 0,
        shrunkFrom = plan.shrunk_from,
        tableBytes = plan.table_bytes,
        grammarBytes = plan.grammar_bytes,
        stateBytes = plan.state_bytes,
        snapshotBytes = plan.snapshot_bytes;

  /// Whether it fits the budget.
  final bool fits;

  /// Maximum bytes of anonymous memory without grammars and tools: KV cache, scratch, tables, tokenizer, and the
  /// weights if they are copied.
  final int anonBytes;

  /// The budget in bytes; -1 if the system does not tell what is free.
  final int budgetBytes;

  /// Bytes of the weights.
  final int weightBytes;

  /// Bytes of the KV cache when all of it is used.
  final int kvBytes;

  /// Bytes of activations and scratch.
  final int scratchBytes;

  /// Bytes of the tokenizer's tables.
  final int tokenizerBytes;

  /// Size of a session's context in tokens.
  final int context;

  /// If the plan does not fit: the largest context that would fit, or 0 if none would. Otherwise the same as [context].
  final int fittingContext;

  /// Maximum number of prompt tokens in one pass.
  final int batch;

  /// Number of threads.
  final int threads;

  /// Whether the weights are read into anonymous memory.
  final bool weightsCopied;

  /// The context that was planned for at first, if it had to shrink to fit the budget; otherwise 0. It shrinks only if
  /// the options leave its size open.
  final int shrunkFrom;

  /// Maximum bytes of the model's tables: layers, norms, biases.
  final int tableBytes;

  /// Maximum bytes of the vocabulary that grammars, JSON schemas and tools need, in addition to [anonBytes]. They are
  /// taken when the first of these is used.
  final int grammarBytes;

  /// The part of [kvBytes] that holds the states of recurrent layers; 0 if the model has none.
  final int stateBytes;

  /// The part of [kvBytes] that holds snapshots (`snapshotBytes` of the load options); 0 if the model needs none.
  final int snapshotBytes;
}

/// The memory of a session and of the process, in bytes.
final class HappyMemory {
  /// The values of a native report.
  HappyMemory.read(c.HappyMemory memory)
      : weightsCopied = memory.weights_copied != 0,
        weightBytes = memory.weight_bytes,
        kvBytes = memory.kv_bytes,
        kvResidentBytes = memory.kv_resident_bytes,
        scratchBytes = memory.scratch_bytes,
        tokenizerBytes = memory.tokenizer_bytes,
        processAnonBytes = memory.process_anon_bytes,
        processFileBytes = memory.process_file_bytes,
        processPeakBytes = memory.process_peak_bytes,
        positions = memory.positions;

  /// Whether the weights are in anonymous memory.
  final bool weightsCopied;

  /// The weights; file-backed unless they are copied.
  final int weightBytes;

  /// The KV cache when all of it is used.
  final int kvBytes;

  /// The part of the KV cache that is in use.
  final int kvResidentBytes;

  /// Activations and scratch.
  final int scratchBytes;

  /// The tokenizer's tables.
  final int tokenizerBytes;

  /// The process: anonymous pages; 0 if the system does not tell, as for the next two.
  final int processAnonBytes;

  /// The process: pages of mapped files.
  final int processFileBytes;

  /// The process: the highest resident size so far.
  final int processPeakBytes;

  /// Number of positions of the context that are in use.
  final int positions;
}

/// What [HappySession.trim] gives back.
enum HappyTrimLevel {
  // <HappyTrimLevel values>
  /// Buffers for computing. They are allocated again for the next token, and nothing is lost.
  scratch(c.HappyTrimLevel.HAPPY_TRIM_SCRATCH),

  /// Snapshots. Conversations can continue, but in models with windows or recurrent layers, going back computes them
  /// again. The memory stays with the process, for reuse.
  snapshots(c.HappyTrimLevel.HAPPY_TRIM_SNAPSHOTS),

  /// Branches, including those that were pinned. The memory stays with the process, for reuse.
  branches(c.HappyTrimLevel.HAPPY_TRIM_BRANCHES),

  /// The whole KV cache.
  sequences(c.HappyTrimLevel.HAPPY_TRIM_SEQUENCES),
  // </HappyTrimLevel values>
  ;

  const HappyTrimLevel(this.code);

  /// The number of the level in C.
  final int code;
}

/// What the turns of a session did not have to compute.
final class HappyReuse {
  /// The values of a native report.
  HappyReuse.read(c.HappyReuse reuse)
      : branches = reuse.branches,
        prompts = reuse.prompts,
        promptTokens = reuse.prompt_tokens,
        reusedTokens = reuse.reused_tokens,
        evictedBranches = reuse.evicted_branches,
        droppedMessages = reuse.dropped_messages,
        guessedTokens = reuse.guessed_tokens,
        acceptedTokens = reuse.accepted_tokens,
        shiftedTokens = reuse.shifted_tokens;

  /// Number of sequences that are kept in addition to the conversation's own: see [HappyLoadOptions.branches].
  final int branches;

  /// Number of prompts so far.
  final int prompts;

  /// Number of tokens of those prompts.
  final int promptTokens;

  /// Number of those tokens that the KV cache already held.
  final int reusedTokens;

  /// Number of branches that were dropped because memory or branches ran out.
  final int evictedBranches;

  /// Number of messages that the last turn's prompt left out, as [HappySessionOptions.contextPolicy] says.
  final int droppedMessages;

  /// Number of tokens that were guessed and computed ahead: see [HappyLoadOptions.draftTokens].
  final int guessedTokens;

  /// Number of guesses that turned out right. Each saved a pass.
  final int acceptedTokens;

  /// Number of tokens that the last turn dropped from the context when it was full, with the policy `shift` of
  /// [HappySessionOptions.contextPolicy].
  final int shiftedTokens;
}

/// What is in a session's file.
final class HappySessionFile {
  /// The values of an object of the library.
  HappySessionFile.fromJson(Map<String, Object?> json)
      : path = json['path']! as String,
        turns = json['turns']! as int,
        tokens = json['tokens']! as int,
        messages = json['messages']! as int,
        bytes = json['bytes']! as int,
        sealed = json['sealed']! as bool,
        unfinished = json['unfinished']! as int,
        problem = json['problem'] as String?;

  /// The path of the file.
  final String path;

  /// Number of turns in it since it was rewritten.
  final int turns;

  /// Number of tokens in it.
  final int tokens;

  /// Number of messages in it.
  final int messages;

  /// Its size in bytes.
  final int bytes;

  /// Whether it is sealed with a key.
  final bool sealed;

  /// Tokens of an answer that was cut off with the app; 0 if none was. `HappySession.answer` goes on with it.
  final int unfinished;

  /// Why the last turn could not be saved; null if it was.
  final String? problem;
}

/// Why a turn ended.
enum HappyFinishReason {
  // <HappyFinishReason values>
  /// The model ended its answer.
  end(c.HappyFinishReason.HAPPY_FINISH_END),

  /// A stop string was reached.
  stopString(c.HappyFinishReason.HAPPY_FINISH_STOP_STRING),

  /// The limit of tokens was reached.
  length(c.HappyFinishReason.HAPPY_FINISH_LENGTH),

  /// The context is full.
  contextFull(c.HappyFinishReason.HAPPY_FINISH_CONTEXT_FULL),

  /// The text is complete: the grammar allows nothing more.
  grammarEnd(c.HappyFinishReason.HAPPY_FINISH_GRAMMAR_END),

  /// The cancel token was raised, the callback said stop, the turn was stopped, or the session was freed.
  cancelled(c.HappyFinishReason.HAPPY_FINISH_CANCELLED),

  /// The text ended before the grammar, the JSON schema or a call that had begun was complete: the limit of tokens, a
  /// full context, or no token that continues it.
  unfinished(c.HappyFinishReason.HAPPY_FINISH_UNFINISHED),
  // </HappyFinishReason values>

  /// A reason of a newer library.
  other(-1);

  const HappyFinishReason(this.code);

  /// The number of the reason in C.
  final int code;

  /// The reason with this number in C.
  static HappyFinishReason fromCode(int code) =>
      values.firstWhere((reason) => reason.code == code, orElse: () => other);
}

/// What a turn took.
final class HappyFinish {
  /// The values of a native report.
  HappyFinish.read(c.HappyFinish finish)
      : reason = HappyFinishReason.fromCode(finish.reason),
        promptTokens = finish.prompt_tokens,
        reusedTokens = finish.reused_tokens,
        generatedTokens = finish.generated_tokens,
        prefillSeconds = finish.prefill_seconds,
        decodeSeconds = finish.decode_seconds,
        prefillRate = finish.prefill_rate,
        decodeRate = finish.decode_rate;

  /// Why it ended.
  final HappyFinishReason reason;

  /// Tokens of the prompt that were computed.
  final int promptTokens;

  /// Tokens of the prompt that the KV cache held already.
  final int reusedTokens;

  /// Generated tokens, including a token that ended the answer.
  final int generatedTokens;

  /// Seconds for the prompt.
  final double prefillSeconds;

  /// Seconds for the generated tokens after the first.
  final double decodeSeconds;

  /// Computed prompt tokens per second.
  final double prefillRate;

  /// Generated tokens after the first, per second.
  final double decodeRate;
}

/// How the hidden states of a text's tokens become one vector.
enum HappyPooling {
  // <HappyPooling values>
  /// As the model's file says.
  model(c.HappyPooling.HAPPY_POOLING_MODEL),

  /// No pooling: a vector for each token.
  none(c.HappyPooling.HAPPY_POOLING_NONE),

  /// The mean of all hidden states.
  mean(c.HappyPooling.HAPPY_POOLING_MEAN),

  /// The hidden state of the first token.
  cls(c.HappyPooling.HAPPY_POOLING_CLS),

  /// The hidden state of the last token.
  last(c.HappyPooling.HAPPY_POOLING_LAST),

  /// The scores of the model's classifier: one for each label, and usually only one.
  rank(c.HappyPooling.HAPPY_POOLING_RANK),
  // </HappyPooling values>

  /// A way of a newer library.
  other(-1);

  const HappyPooling(this.code);

  /// The number of the way in C.
  final int code;

  /// The way with this number in C.
  static HappyPooling fromCode(int code) => values.firstWhere((pooling) => pooling.code == code, orElse: () => other);
}

/// What a text became.
final class HappyEmbedding {
  /// The values of a native embedding, copied.
  HappyEmbedding.read(c.HappyEmbedding embedding)
      : tokens = embedding.tokens,
        leftOut = embedding.left_out,
        width = embedding.width,
        values = embedding.count == 0
            ? Float32List(0)
            : Float32List.fromList(embedding.values.asTypedList(embedding.count));

  /// Tokens that were computed.
  final int tokens;

  /// Tokens that were left out, because the text is too long.
  final int leftOut;

  /// Values of a vector.
  final int width;

  /// The text's vector; with [HappyPooling.none] those of its tokens, one after the other.
  final Float32List values;

  /// The cosine with another vector of the same width: 1 if they have the same direction, 0 if one of them is all zeros.
  double cosine(HappyEmbedding other) {
    if (values.length != other.values.length) {
      throw ArgumentError('the embeddings have ${values.length} and ${other.values.length} values');
    }
    final lengths = sqrt(_dot(values, values) * _dot(other.values, other.values));
    return lengths > 0 ? _dot(values, other.values) / lengths : 0;
  }

  static double _dot(Float32List a, Float32List b) {
    var sum = 0.0;
    for (var i = 0; i < a.length; i += 1) {
      sum += a[i] * b[i];
    }
    return sum;
  }
}

/// How well a document matches a query.
final class HappyRank {
  /// The values of a native rank.
  HappyRank.read(c.HappyRank rank)
      : index = rank.index,
        score = rank.score;

  /// The document's place in what was given, from 0.
  final int index;

  /// The model's score, the higher the better; its scale is the model's own.
  final double score;
}

/// A tool that a turn could not constrain.
final class HappyLeftOutTool {
  /// The values of an object of the library.
  HappyLeftOutTool.fromJson(Map<String, Object?> json)
      : tool = json['tool']! as String,
        callable = json['callable']! as bool,
        reason = json['reason']! as String;

  /// The tool's name.
  final String tool;

  /// False: the reply format cannot carry one of the tool's names, and the model cannot call it. True: no grammar can follow the
  /// tool's schema, and its calls may have any arguments.
  final bool callable;

  /// Why it could not be constrained.
  final String reason;
}
