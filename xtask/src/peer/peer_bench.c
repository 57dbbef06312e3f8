// Times llama.cpp through its C API, the way its own llama-bench does: a warm-up, then timed runs from an empty context.
// Compiled by `cargo xtask bench-peer` against the headers and libraries of one pinned release.
//
//   peer_bench bench MODEL THREADS N_PROMPT N_GEN DEPTH   -> one line of JSON: tokens per second of prefill and decode
//   peer_bench first MODEL THREADS TEXT                   -> the first token's text; the caller times the process
//   peer_bench count MODEL TEXT                           -> the number of tokens of TEXT, BOS included where the model has one
//
// Everything that is not an argument is the library's default: mmap, f16 KV cache, flash attention "auto", micro-batch 512.
#include "llama.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void die(const char * format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("peer_bench: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec + 1e-9 * (double) now.tv_nsec;
}

// Warnings and errors only: a line for each tensor is not part of the work.
static void quiet(enum ggml_log_level level, const char * text, void * user) {
    (void) user;
    if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

static struct llama_model * load(const char * path) {
    llama_log_set(quiet, NULL);
    llama_backend_init();
    struct llama_model * model = llama_model_load_from_file(path, llama_model_default_params());
    if (!model) die("cannot load %s", path);
    return model;
}

static struct llama_context * context(struct llama_model * model, int threads, int n_ctx) {
    struct llama_context_params params = llama_context_default_params();
    params.n_threads = threads;
    params.n_threads_batch = threads;
    if (n_ctx > 0) params.n_ctx = (uint32_t) n_ctx;
    struct llama_context * ctx = llama_init_from_model(model, params);
    if (!ctx) die("cannot make a context of %d tokens", n_ctx);
    return ctx;
}

static void decode(struct llama_context * ctx, llama_token * tokens, int n) {
    if (llama_decode(ctx, llama_batch_get_one(tokens, n)) != 0) die("llama_decode failed on %d tokens", n);
}

// Ordinary ids, the same in every run; which ones they are does not change the work of a dense model.
static llama_token token_at(int i, int n_vocab) {
    return (llama_token) ((1000u + 7919u * (unsigned) i) % (unsigned) (n_vocab < 40000 ? n_vocab : 40000));
}

// Prefills n tokens in batches of 512.
static void prefill(struct llama_context * ctx, int n, int n_vocab) {
    llama_token tokens[512];
    for (int done = 0; done < n;) {
        int count = n - done < 512 ? n - done : 512;
        for (int i = 0; i < count; i++) tokens[i] = token_at(done + i, n_vocab);
        decode(ctx, tokens, count);
        done += count;
    }
    llama_synchronize(ctx);
}

// n decode calls of one token.
static void generate(struct llama_context * ctx, int n, int n_vocab) {
    for (int i = 0; i < n; i++) {
        llama_token token = token_at(i, n_vocab);
        decode(ctx, &token, 1);
        llama_synchronize(ctx);
    }
}

static void bench(const char * path, int threads, int n_prompt, int n_gen, int depth) {
    double start = seconds();
    struct llama_model * model = load(path);
    double load_s = seconds() - start;
    int longest = n_prompt > depth + n_gen ? n_prompt : depth + n_gen;
    struct llama_context * ctx = context(model, threads, longest + 16);
    int n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
    llama_memory_t memory = llama_get_memory(ctx);

    // The warm-up that llama-bench does: pages of the file, buffers, threads.
    prefill(ctx, n_prompt > 0 ? n_prompt : 32, n_vocab);
    llama_memory_clear(memory, false);
    generate(ctx, 1, n_vocab);
    llama_memory_clear(memory, false);

    double prefill_s = 0, decode_s = 0;
    if (n_prompt > 0) {
        start = seconds();
        prefill(ctx, n_prompt, n_vocab);
        prefill_s = seconds() - start;
        llama_memory_clear(memory, false);
    }
    if (n_gen > 0) {
        if (depth > 0) prefill(ctx, depth, n_vocab);
        start = seconds();
        generate(ctx, n_gen, n_vocab);
        decode_s = seconds() - start;
    }
    printf("{\"prefill_tok_s\": %.3f, \"decode_tok_s\": %.3f, \"load_ms\": %.3f}\n",
           n_prompt > 0 ? n_prompt / prefill_s : 0.0, n_gen > 0 ? n_gen / decode_s : 0.0, 1e3 * load_s);
    llama_free(ctx);
    llama_model_free(model);
}

static int tokenize(struct llama_model * model, const char * text, llama_token * tokens, int room) {
    int n = llama_tokenize(llama_model_get_vocab(model), text, (int32_t) strlen(text), tokens, room, true, false);
    if (n <= 0) die("cannot tokenize the prompt (at most %d tokens)", room);
    return n;
}

static void first(const char * path, int threads, const char * text) {
    struct llama_model * model = load(path);
    llama_token tokens[512];
    int n = tokenize(model, text, tokens, 512);
    struct llama_context * ctx = context(model, threads, 0);
    decode(ctx, tokens, n);
    const float * logits = llama_get_logits_ith(ctx, -1);
    const struct llama_vocab * vocab = llama_model_get_vocab(model);
    int best = 0;
    for (int i = 1; i < llama_vocab_n_tokens(vocab); i++) {
        if (logits[i] > logits[best]) best = i;
    }
    char piece[256];
    int length = llama_token_to_piece(vocab, best, piece, sizeof piece, 0, true);
    if (length < 0) die("token %d has a text of more than %zu bytes", best, sizeof piece);
    fwrite(piece, 1, (size_t) length, stdout);
    fflush(stdout);
    llama_free(ctx);
    llama_model_free(model);
}

static int number(const char * text, const char * what, int least) {
    char * end = NULL;
    long value = strtol(text, &end, 10);
    if (end == text || *end || value < least || value > 1000000) die("%s: expected a number from %d on, found '%s'", what, least, text);
    return (int) value;
}

int main(int argc, char ** argv) {
    if (argc == 7 && !strcmp(argv[1], "bench")) {
        bench(argv[2], number(argv[3], "THREADS", 1), number(argv[4], "N_PROMPT", 0), number(argv[5], "N_GEN", 0), number(argv[6], "DEPTH", 0));
    } else if (argc == 5 && !strcmp(argv[1], "first")) {
        first(argv[2], number(argv[3], "THREADS", 1), argv[4]);
    } else if (argc == 4 && !strcmp(argv[1], "count")) {
        llama_token tokens[512];
        struct llama_model * model = load(argv[2]);
        printf("%d\n", tokenize(model, argv[3], tokens, 512));
        llama_model_free(model);
    } else {
        die("usage: peer_bench bench MODEL THREADS N_PROMPT N_GEN DEPTH | first MODEL THREADS TEXT | count MODEL TEXT");
    }
    return 0;
}
