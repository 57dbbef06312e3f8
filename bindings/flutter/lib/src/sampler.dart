/// How tokens are chosen.
library;

import 'dart:ffi';

import 'package:ffi/ffi.dart';

import 'bindings.dart' as c;
import 'calls.dart';
import 'library.dart';

/// How to choose tokens. What is null takes the library's default; names, defaults and order are llama.cpp's.
final class HappySamplerOptions {
  /// Choices; all of them have defaults.
  const HappySamplerOptions({
    // <HappySamplerOptions constructor>
    this.topK,
    this.seed,
    this.temperature,
    this.topP,
    this.minP,
    this.typical,
    this.topNSigma,
    this.xtcProbability,
    this.xtcThreshold,
    this.dynatempRange,
    this.dynatempExponent,
    this.repeatPenalty,
    this.frequencyPenalty,
    this.presencePenalty,
    this.dryMultiplier,
    this.dryBase,
    this.mirostatTau,
    this.mirostatEta,
    this.adaptiveTarget,
    this.adaptiveDecay,
    this.penaltyLastN,
    this.dryAllowedLength,
    this.dryLastN,
    this.minKeep,
    this.mirostat,
    this.order,
    this.dryBreakers = const [],
    this.logitBias = const {},
    // </HappySamplerOptions constructor>
  });

  /// Always takes the best token.
  static const HappySamplerOptions greedy = HappySamplerOptions(temperature: 0);

  /// A seed that is another one each turn.
  static const int randomSeed = c.HAPPY_SEED_RANDOM;

  // <HappySamplerOptions fields>
  /// Keep this many of the most probable tokens. 0 keeps all. Default: 40.
  final int? topK;

  /// Seed of the random choice; every turn starts from it. [randomSeed], the default: another one each turn.
  final int? seed;

  /// Divide the logits by this. At least 0; 0 always takes the best token, 1 changes nothing. Default: 0.8.
  final double? temperature;

  /// Keep the most probable tokens until their probabilities add up to this. From 0 to 1; 1 keeps all. Default: 0.95.
  final double? topP;

  /// Keep tokens whose probability is at least this share of the best one's. From 0 to 1; 0 keeps all. Default: 0.05.
  final double? minP;

  /// Keep the tokens whose surprise is nearest to the entropy, until their probabilities add up to this. From 0 to 1; 1
  /// keeps all. Default: 1.
  final double? typical;

  /// Keep tokens whose logit is at most this many standard deviations below the best one. At least 0; 0 keeps all.
  /// Default: 0.
  final double? topNSigma;

  /// Probability that all top choices except for the least probable one are excluded (XTC). From 0 to 1; 0 turns XTC off.
  /// Default: 0.
  final double? xtcProbability;

  /// Minimum probability of a top choice. Tokens at or above it are candidates for exclusion; values above 0.5 turn XTC
  /// off. From 0 to 1. Default: 0.1.
  final double? xtcThreshold;

  /// Let the temperature follow the entropy, between the temperature minus and plus this. At least 0; 0 keeps it fixed.
  /// Default: 0.
  final double? dynatempRange;

  /// Exponent of the entropy for the dynamic temperature. At least 0. Default: 1.
  final double? dynatempExponent;

  /// Divide positive logits of recent tokens by this, and multiply negative ones by it. Above 0; 1 is neutral, and values
  /// below 1 favor repetition. Default: 1.
  final double? repeatPenalty;

  /// Subtract this from a logit for each recent occurrence of its token. Any finite number; 0 is neutral, and negative
  /// values favor repetition. Default: 0.
  final double? frequencyPenalty;

  /// Subtract this once from the logits of recent tokens. Any finite number; 0 is neutral, and negative values favor
  /// repetition. Default: 0.
  final double? presencePenalty;

  /// Penalty of a token that would make a repetition one token longer than DRY allows. At least 0; 0 turns DRY off.
  /// Default: 0.
  final double? dryMultiplier;

  /// Factor by which DRY's penalty grows with each further token of a repetition. At least 0; below 1 turns DRY off.
  /// Default: 1.75.
  final double? dryBase;

  /// Target surprise of Mirostat in bits (tau). At least 0. Default: 5.
  final double? mirostatTau;

  /// Learning rate of Mirostat (eta). At least 0. Default: 0.1.
  final double? mirostatEta;

  /// Prefer tokens whose probability is near this (adaptive-p). From 0 to 1; below 0 is an ordinary draw. Default: -1.
  final double? adaptiveTarget;

  /// Weight of the past in adaptive-p's average of its choices: 0.9 averages over about 10 tokens, 0.99 over about 100.
  /// From 0 to 0.99. Default: 0.9.
  final double? adaptiveDecay;

  /// Number of recent tokens that the penalties look at. At most 1,048,576; 0 turns them off. Default: 64.
  final int? penaltyLastN;

  /// Length in tokens of the longest repetition that DRY allows: it penalizes tokens that would make one longer. 0
  /// penalizes every recent token. Default: 2.
  final int? dryAllowedLength;

  /// Number of recent tokens in which DRY looks for repetitions. At most 1,048,576; 0 turns DRY off. Default: 64.
  final int? dryLastN;

  /// Minimum number of tokens that top-p, min-p, typical and XTC keep. Default: 0, which is like 1.
  final int? minKeep;

  /// Version of Mirostat, which replaces all steps but temperature and logit bias: 1 or 2. 0 turns it off. Default: 0.
  final int? mirostat;

  /// The samplers and their order, separated by `;`: penalties, dry, top_n_sigma, top_k, typ_p, top_p, min_p, xtc,
  /// temperature, infill, adaptive_p. Empty: these without the last two.
  final String? order;

  /// Texts that end a repetition for DRY. Not set: line end, `:`, `"` and `*`.
  final List<String> dryBreakers;

  /// Numbers to add to the logits of tokens: finite, or minus infinity, which forbids a token. Not set: none.
  final Map<int, double> logitBias;
  // </HappySamplerOptions fields>

  /// A native sampler, to be freed with `happy_sampler_free`.
  Pointer<c.HappySampler> create() {
    final bindings = HappyLibrary.bindings;
    final handle = using((arena) {
      final native = toNative(arena);
      return readHandle((out, error) => bindings.happy_sampler_new(native, out.cast(), error));
    });
    return Pointer<c.HappySampler>.fromAddress(handle);
  }

  /// These options in memory of [allocator].
  Pointer<c.HappySamplerOptions> toNative(Allocator allocator) {
    final native = allocator<c.HappySamplerOptions>();
    final size = sizeOf<c.HappySamplerOptions>();
    check((error) => HappyLibrary.bindings.happy_sampler_options_init(native, size, error));
    final it = native.ref;
    // <HappySamplerOptions native>
    it.top_k = topK ?? it.top_k;
    it.seed = seed ?? it.seed;
    it.temperature = temperature ?? it.temperature;
    it.top_p = topP ?? it.top_p;
    it.min_p = minP ?? it.min_p;
    it.typical = typical ?? it.typical;
    it.top_n_sigma = topNSigma ?? it.top_n_sigma;
    it.xtc_probability = xtcProbability ?? it.xtc_probability;
    it.xtc_threshold = xtcThreshold ?? it.xtc_threshold;
    it.dynatemp_range = dynatempRange ?? it.dynatemp_range;
    it.dynatemp_exponent = dynatempExponent ?? it.dynatemp_exponent;
    it.repeat_penalty = repeatPenalty ?? it.repeat_penalty;
    it.frequency_penalty = frequencyPenalty ?? it.frequency_penalty;
    it.presence_penalty = presencePenalty ?? it.presence_penalty;
    it.dry_multiplier = dryMultiplier ?? it.dry_multiplier;
    it.dry_base = dryBase ?? it.dry_base;
    it.mirostat_tau = mirostatTau ?? it.mirostat_tau;
    it.mirostat_eta = mirostatEta ?? it.mirostat_eta;
    it.adaptive_target = adaptiveTarget ?? it.adaptive_target;
    it.adaptive_decay = adaptiveDecay ?? it.adaptive_decay;
    it.penalty_last_n = penaltyLastN ?? it.penalty_last_n;
    it.dry_allowed_length = dryAllowedLength ?? it.dry_allowed_length;
    it.dry_last_n = dryLastN ?? it.dry_last_n;
    it.min_keep = minKeep ?? it.min_keep;
    it.mirostat = mirostat ?? it.mirostat;
    final order = this.order;
    if (order != null) setText(it.order, order, allocator);
    it.dry_breakers = encodeAll(dryBreakers, allocator);
    it.n_dry_breakers = dryBreakers.length;
    it.logit_bias = encodeBiases(logitBias, allocator);
    it.n_logit_bias = logitBias.length;
    // </HappySamplerOptions native>
    return native;
  }
}

/// [biases] as an array; null if the map is empty.
Pointer<c.HappyLogitBias> encodeBiases(Map<int, double> biases, Allocator allocator) {
  if (biases.isEmpty) return nullptr;
  final array = allocator<c.HappyLogitBias>(biases.length);
  for (final (index, MapEntry(key: token, value: bias)) in biases.entries.indexed) {
    array[index].token = token;
    array[index].bias = bias;
  }
  return array;
}
