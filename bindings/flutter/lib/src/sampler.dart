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
    this.dryBreakers,
    this.logitBias = const {},
  });

  /// Always takes the best token.
  static const HappySamplerOptions greedy = HappySamplerOptions(temperature: 0);

  /// A seed that is another one each turn.
  static const int randomSeed = c.HAPPY_SEED_RANDOM;

  /// Keep the best tokens; 0: all.
  final int? topK;

  /// Seed of the random choice; every turn starts from it. [randomSeed]: another one each turn.
  final int? seed;

  /// 0 always takes the best token.
  final double? temperature;

  /// Keep the best tokens that have this probability together; 1: all.
  final double? topP;

  /// Keep tokens with at least this share of the best one's probability; 0: all.
  final double? minP;

  /// Keep the tokens whose surprise is most typical; 1: all.
  final double? typical;

  /// Keep logits at most so many standard deviations below the best; 0: all.
  final double? topNSigma;

  /// Chance that the top choices are excluded; 0: off.
  final double? xtcProbability;

  /// What a top choice has at least.
  final double? xtcThreshold;

  /// Let the temperature follow the entropy, by so much; 0: off.
  final double? dynatempRange;

  /// Exponent of the dynamic temperature.
  final double? dynatempExponent;

  /// Divide the logits of recent tokens by this; 1: off.
  final double? repeatPenalty;

  /// Subtract this for each recent occurrence of the token; 0: off.
  final double? frequencyPenalty;

  /// Subtract this from the logits of recent tokens; 0: off.
  final double? presencePenalty;

  /// Penalty of what would continue a repetition (DRY); 0: off.
  final double? dryMultiplier;

  /// Growth of that penalty with each token that the repetition is longer.
  final double? dryBase;

  /// Mirostat's target entropy.
  final double? mirostatTau;

  /// Mirostat's learning rate.
  final double? mirostatEta;

  /// Prefer tokens near this probability; below 0: off.
  final double? adaptiveTarget;

  /// How long that remembers.
  final double? adaptiveDecay;

  /// Tokens that the penalties look back.
  final int? penaltyLastN;

  /// Longest repetition without DRY's penalty.
  final int? dryAllowedLength;

  /// Tokens in which DRY looks for repetitions.
  final int? dryLastN;

  /// Tokens that top-p, min-p, typical and XTC keep at least.
  final int? minKeep;

  /// 0, or Mirostat 1 or 2 instead of all of these but temperature and logit bias.
  final int? mirostat;

  /// The samplers and their order, separated by `;`: penalties, dry, top_n_sigma, top_k, typ_p, top_p, min_p, xtc,
  /// temperature, infill, adaptive_p.
  final String? order;

  /// Texts that end a repetition for DRY; null: line end, `:`, `"` and `*`. An empty list counts as null.
  final List<String>? dryBreakers;

  /// What is added to the logits of tokens; minus infinity forbids one.
  final Map<int, double> logitBias;

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
    final breakers = dryBreakers ?? const <String>[];
    if (breakers.isNotEmpty) {
      it.dry_breakers = encodeAll(breakers, allocator);
      it.n_dry_breakers = breakers.length;
    }
    if (logitBias.isNotEmpty) {
      final biases = allocator<c.HappyLogitBias>(logitBias.length);
      for (final (index, MapEntry(key: token, value: bias)) in logitBias.entries.indexed) {
        biases[index].token = token;
        biases[index].bias = bias;
      }
      it.logit_bias = biases;
      it.n_logit_bias = logitBias.length;
    }
    return native;
  }
}
