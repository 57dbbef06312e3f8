/* Embeddings, ranks and adapters, used as they should be and as they should not.
 *
 * usage: embed MODEL PLAIN ADAPTER FOREIGN
 * MODEL has mean pooling and a classifier, PLAIN neither; ADAPTER is one of both, FOREIGN of another model.
 */
#include "common.h"

#include <math.h>
#include <stddef.h>

#define WIDTH 64

static HappyModel *open_for(const char *path, uint32_t embeddings, uint32_t context) {
  HappyLoadOptions options;
  OK(happy_load_options_init(&options, sizeof options, &error));
  options.threads = 2;
  options.context = context;
  options.embeddings = embeddings;
  options.adapter_rank = 3;
  options.snapshot_bytes = 0;
  HappyModel *model = NULL;
  OK(happy_model_open_file(TEXT(path), &options, &model, &error));
  return model;
}

static HappyEmbedOptions embed_options(void) {
  HappyEmbedOptions options;
  memset(&options, 0xff, sizeof options);
  OK(happy_embed_options_init(&options, sizeof options, &error));
  CHECK(options.size == sizeof options && options.pooling == HAPPY_POOLING_MODEL && options.unnormalized == 0);
  CHECK(options.dimensions == 0 && options.truncate == 0 && options.reserved == 0);
  return options;
}

static HappyEmbedding get(const HappyEmbeddings *found, size_t index) {
  HappyEmbedding text = {.size = sizeof text};
  OK(happy_embeddings_get(found, index, &text, &error));
  return text;
}

static double length_of(HappyEmbedding text) {
  double sum = 0;
  for (size_t i = 0; i < text.count; i++) {
    sum += (double)text.values[i] * text.values[i];
  }
  return sqrt(sum);
}

static int same(HappyEmbedding a, HappyEmbedding b) {
  return a.count == b.count && a.tokens == b.tokens && memcmp(a.values, b.values, a.count * sizeof(float)) == 0;
}

/* A vector does not depend on the texts beside its own, and stays when embedder and model are freed. */
static void vectors(const char *path) {
  HappyModel *model = open_for(path, 1, 64);
  HappyEmbedder *embedder = NULL;
  OK(happy_embedder_new(model, NULL, &embedder, &error));
  HappyEmbedderInfo info = {.size = sizeof info};
  OK(happy_embedder_info(embedder, &info, &error));
  CHECK(info.pooling == HAPPY_POOLING_MEAN && info.width == WIDTH && info.most_tokens == 64);

  HappyText texts[3] = {text_of("a small cat"), text_of(""), text_of("k\303\244tzchen \360\237\220\210")};
  HappyEmbeddings *together = NULL, *alone = NULL;
  OK(happy_embed(embedder, texts, 3, NULL, &together, &error));
  for (size_t i = 0; i < 3; i++) {
    OK(happy_embed(embedder, &texts[i], 1, NULL, &alone, &error));
    HappyEmbedding a = get(together, i), b = get(alone, 0);
    CHECK(a.count == WIDTH && a.width == WIDTH && a.left_out == 0 && same(a, b));
    CHECK(fabs(length_of(a) - 1) < 1e-6);
    OK(happy_embeddings_free(alone));
  }
  CHECK(!same(get(together, 0), get(together, 2)) && get(together, 1).tokens >= 1);
  HappyEmbeddings *none = NULL;
  OK(happy_embed(embedder, NULL, 0, NULL, &none, &error));
  HappyEmbedding out = {.size = sizeof out};
  FAILS(HAPPY_INVALID_ARGUMENT, "the number of texts, 0", happy_embeddings_get(none, 0, &out, &error));
  OK(happy_embeddings_free(none));

  /* Unnormalized, cut, and of each token. */
  HappyEmbedOptions options = embed_options();
  options.unnormalized = 1;
  HappyEmbedder *other = NULL;
  OK(happy_embedder_new(model, &options, &other, &error));
  OK(happy_embed(other, texts, 1, NULL, &alone, &error));
  double length = length_of(get(alone, 0));
  CHECK(fabs(length - 1) > 1e-3 && fabs(get(alone, 0).values[5] / length - get(together, 0).values[5]) < 1e-6);
  float raw[8];
  memcpy(raw, get(alone, 0).values, sizeof raw);
  OK(happy_embeddings_free(alone));
  options.dimensions = 8;
  OK(happy_embedder_free(other));
  OK(happy_embedder_new(model, &options, &other, &error));
  OK(happy_embed(other, texts, 1, NULL, &alone, &error));
  CHECK(get(alone, 0).count == 8 && memcmp(get(alone, 0).values, raw, sizeof raw) == 0);
  OK(happy_embeddings_free(alone));
  OK(happy_embedder_free(other));
  options.dimensions = 0;
  options.pooling = HAPPY_POOLING_NONE;
  OK(happy_embedder_new(model, &options, &other, &error));
  OK(happy_embed(other, texts, 3, NULL, &alone, &error));
  CHECK(get(alone, 0).tokens > 10 && get(alone, 0).count == WIDTH * get(alone, 0).tokens);
  OK(happy_embeddings_free(alone));
  OK(happy_embedder_free(other));

  OK(happy_embedder_free(embedder));
  OK(happy_model_free(model));
  CHECK(fabs(length_of(get(together, 2)) - 1) < 1e-6);
  OK(happy_embeddings_free(together));
}

static void long_texts(const char *path) {
  HappyModel *model = open_for(path, 1, 16);
  HappyText texts[2] = {text_of("short"), text_of("a text of more bytes than sixteen")};
  HappyEmbedOptions options = embed_options();
  HappyEmbedder *embedder = NULL;
  HappyEmbeddings *found = NULL;
  OK(happy_embedder_new(model, &options, &embedder, &error));
  FAILS(HAPPY_CONTEXT_FULL, "text 1 has ", happy_embed(embedder, texts, 2, NULL, &found, &error));
  CHECK(found == NULL);
  OK(happy_embedder_free(embedder));
  options.truncate = 1;
  OK(happy_embedder_new(model, &options, &embedder, &error));
  OK(happy_embed(embedder, texts, 2, NULL, &found, &error));
  CHECK(get(found, 0).left_out == 0 && get(found, 1).left_out > 10 && get(found, 1).tokens == 16);
  OK(happy_embeddings_free(found));
  OK(happy_embedder_free(embedder));
  OK(happy_model_free(model));
}

static void ranks(const char *path) {
  HappyModel *model = open_for(path, 1, 64);
  HappyEmbedOptions options = embed_options();
  options.pooling = HAPPY_POOLING_RANK;
  HappyEmbedder *embedder = NULL;
  OK(happy_embedder_new(model, &options, &embedder, &error));
  HappyText documents[4] = {text_of("fish"), text_of("a stone"), text_of(""), text_of("fish")};
  HappyRank found[4], one;
  OK(happy_rerank(embedder, TEXT("what do cats eat"), documents, 4, NULL, found, &error));
  int seen = 0;
  for (int i = 0; i < 4; i++) {
    seen |= 1 << found[i].index;
    CHECK(i == 0 || found[i - 1].score > found[i].score ||
          (found[i - 1].score == found[i].score && found[i - 1].index < found[i].index));
    OK(happy_rerank(embedder, TEXT("what do cats eat"), &documents[found[i].index], 1, NULL, &one, &error));
    CHECK(one.index == 0 && one.score == found[i].score);
  }
  CHECK(seen == 15 && found[0].score > found[3].score);
  OK(happy_rerank(embedder, TEXT("x"), NULL, 0, NULL, NULL, &error));
  FAILS(HAPPY_INVALID_ARGUMENT, "ranks is NULL", happy_rerank(embedder, TEXT("x"), documents, 4, NULL, NULL, &error));
  FAILS(HAPPY_INVALID_ARGUMENT, "documents is NULL", happy_rerank(embedder, TEXT("x"), NULL, 4, NULL, found, &error));
  OK(happy_embedder_free(embedder));
  OK(happy_embedder_new(model, NULL, &embedder, &error));
  FAILS(HAPPY_INVALID_ARGUMENT, "`rank`", happy_rerank(embedder, TEXT("x"), documents, 4, NULL, found, &error));
  OK(happy_embedder_free(embedder));
  OK(happy_model_free(model));
}

static void wrong(const char *path, const char *plain) {
  HappyEmbedOptions options = embed_options();
  HappyEmbedder *embedder = NULL;
  HappyEmbeddings *found = NULL;
  HappyText text = text_of("x");

  /* Models that were loaded for something else, or that say nothing of pooling, or cannot rank. */
  HappyModel *sessions = open_for(path, 0, 64);
  FAILS(HAPPY_INVALID_ARGUMENT, "option `embeddings`", happy_embedder_new(sessions, NULL, &embedder, &error));
  OK(happy_model_free(sessions));
  HappyModel *silent = open_for(plain, 1, 64);
  FAILS(HAPPY_INVALID_ARGUMENT, "pooling_type", happy_embedder_new(silent, NULL, &embedder, &error));
  options.pooling = HAPPY_POOLING_RANK;
  FAILS(HAPPY_MODEL, "no classifier", happy_embedder_new(silent, &options, &embedder, &error));
  HappySession *session = NULL;
  FAILS(HAPPY_INVALID_ARGUMENT, "cannot generate", happy_session_new(silent, NULL, &session, &error));
  options.pooling = HAPPY_POOLING_LAST;
  OK(happy_embedder_new(silent, &options, &embedder, &error));
  OK(happy_embedder_free(embedder));
  OK(happy_model_free(silent));

  HappyModel *model = open_for(path, 1, 64);
  embedder = NULL;
  options.pooling = 6;
  FAILS(HAPPY_INVALID_ARGUMENT, "pooling is 6", happy_embedder_new(model, &options, &embedder, &error));
  options.pooling = -1;
  FAILS(HAPPY_INVALID_ARGUMENT, "pooling is -1", happy_embedder_new(model, &options, &embedder, &error));
  options = embed_options();
  options.dimensions = WIDTH + 1;
  FAILS(HAPPY_INVALID_ARGUMENT, "65 dimensions", happy_embedder_new(model, &options, &embedder, &error));
  options.dimensions = 0;
  options.truncate = 2;
  FAILS(HAPPY_INVALID_ARGUMENT, "truncate is 2", happy_embedder_new(model, &options, &embedder, &error));
  options.truncate = 0;
  options.size = 3;
  FAILS(HAPPY_INVALID_ARGUMENT, "HappyEmbedOptions", happy_embedder_new(model, &options, &embedder, &error));
  FAILS(HAPPY_INVALID_ARGUMENT, "NULL", happy_embed_options_init(NULL, sizeof options, &error));
  FAILS(HAPPY_INVALID_ARGUMENT, "out is NULL", happy_embedder_new(model, NULL, NULL, &error));
  FAILS(HAPPY_INVALID_HANDLE, "expected a model", happy_embedder_new(NULL, NULL, &embedder, &error));
  CHECK(embedder == NULL);

  OK(happy_embedder_new(model, NULL, &embedder, &error));
  HappyText broken = {"a\xff", 2}, missing = {NULL, 5};
  FAILS(HAPPY_INVALID_ARGUMENT, "not UTF-8 at byte 1", happy_embed(embedder, &broken, 1, NULL, &found, &error));
  FAILS(HAPPY_INVALID_ARGUMENT, "texts is NULL", happy_embed(embedder, &missing, 1, NULL, &found, &error));
  FAILS(HAPPY_INVALID_ARGUMENT, "texts is NULL", happy_embed(embedder, NULL, 2, NULL, &found, &error));
  FAILS(HAPPY_INVALID_ARGUMENT, "elements", happy_embed(embedder, &text, (size_t)-1, NULL, &found, &error));
  FAILS(HAPPY_INVALID_ARGUMENT, "out is NULL", happy_embed(embedder, &text, 1, NULL, NULL, &error));
  HappyCancel *cancel = NULL;
  OK(happy_cancel_new(&cancel, &error));
  OK(happy_cancel_raise(cancel, &error));
  FAILS(HAPPY_CANCELLED, "cancelled", happy_embed(embedder, &text, 1, cancel, &found, &error));
  OK(happy_cancel_lower(cancel, &error));
  OK(happy_embed(embedder, &text, 1, cancel, &found, &error));
  OK(happy_cancel_free(cancel));
  HappyEmbeddings *more = NULL;
  FAILS(HAPPY_INVALID_HANDLE, "freed", happy_embed(embedder, &text, 1, cancel, &more, &error));
  HappyEmbedderInfo info = {.size = 3};
  FAILS(HAPPY_INVALID_ARGUMENT, "HappyEmbedderInfo", happy_embedder_info(embedder, &info, &error));
  HappyEmbedding out = {.size = 3};
  FAILS(HAPPY_INVALID_ARGUMENT, "HappyEmbedding", happy_embeddings_get(found, 0, &out, &error));
  out.size = sizeof out;
  FAILS(HAPPY_INVALID_ARGUMENT, "the index is 1", happy_embeddings_get(found, 1, &out, &error));

  /* Handles of other kinds, and freed ones. */
  FAILS(HAPPY_INVALID_HANDLE, "expected an embedder",
        happy_embed((const HappyEmbedder *)model, &text, 1, NULL, &more, &error));
  FAILS(HAPPY_INVALID_HANDLE, "expected embeddings",
        happy_embeddings_get((const HappyEmbeddings *)embedder, 0, &out, &error));
  CHECK(happy_embeddings_free((HappyEmbeddings *)embedder) == HAPPY_INVALID_HANDLE);
  CHECK(happy_embedder_free((HappyEmbedder *)found) == HAPPY_INVALID_HANDLE);
  OK(happy_embeddings_free(found));
  CHECK(happy_embeddings_free(found) == HAPPY_INVALID_HANDLE);
  FAILS(HAPPY_INVALID_HANDLE, "freed", happy_embeddings_get(found, 0, &out, &error));
  OK(happy_embedder_free(embedder));
  CHECK(happy_embedder_free(embedder) == HAPPY_INVALID_HANDLE);
  FAILS(HAPPY_INVALID_HANDLE, "freed", happy_embed(embedder, &text, 1, NULL, &more, &error));
  OK(happy_embedder_free(NULL));
  OK(happy_embeddings_free(NULL));
  OK(happy_model_free(model));
}

/* The next turn computes again what other adapters had computed; what cannot be set leaves the adapters as they were. */
static void adapters(const char *plain, const char *adapter, const char *foreign) {
  HappyModel *model = open_for(plain, 0, 256);
  HappySession *session = NULL;
  OK(happy_session_new(model, NULL, &session, &error));
  HappyGenerateOptions options;
  OK(happy_generate_options_init(&options, sizeof options, &error));
  options.raw = 1;
  options.max_tokens = 1;
  options.ignore_end = 1;
  HappyFinish finish = {.size = sizeof finish};
  OK(happy_chat(session, TEXT("Once upon"), &options, NULL, NULL, &finish, &error));
  uint64_t whole = finish.prompt_tokens;
  OK(happy_chat(session, TEXT("Once upon"), &options, NULL, NULL, &finish, &error));
  CHECK(finish.prompt_tokens == 1 && finish.reused_tokens == whole - 1);

  char scaled[4096];
  snprintf(scaled, sizeof scaled, "%s=0.5", adapter);
  HappyText set[2] = {text_of(scaled), text_of(foreign)};
  OK(happy_session_set_adapters(session, set, 1, &error));
  OK(happy_chat(session, TEXT("Once upon"), &options, NULL, NULL, &finish, &error));
  CHECK(finish.prompt_tokens == whole && finish.reused_tokens == 0);
  FAILS(HAPPY_MODEL, "foreign.gguf", happy_session_set_adapters(session, set, 2, &error));
  HappyText twice[2] = {set[0], set[0]};
  FAILS(HAPPY_INVALID_ARGUMENT, "rank", happy_session_set_adapters(session, twice, 2, &error));
  HappyText file = text_of("/nowhere.gguf");
  FAILS(HAPPY_FILE, "/nowhere.gguf", happy_session_set_adapters(session, &file, 1, &error));
  HappyText none = text_of("");
  FAILS(HAPPY_INVALID_ARGUMENT, "no path", happy_session_set_adapters(session, &none, 1, &error));
  FAILS(HAPPY_INVALID_ARGUMENT, "adapters is NULL", happy_session_set_adapters(session, NULL, 1, &error));
  OK(happy_chat(session, TEXT("Once upon"), &options, NULL, NULL, &finish, &error));
  CHECK(finish.prompt_tokens == 1 && finish.reused_tokens == whole - 1);
  OK(happy_session_set_adapters(session, NULL, 0, &error));
  OK(happy_chat(session, TEXT("Once upon"), &options, NULL, NULL, &finish, &error));
  CHECK(finish.prompt_tokens == whole && finish.reused_tokens == 0);
  OK(happy_session_free(session));
  OK(happy_model_free(model));
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: embed MODEL PLAIN ADAPTER FOREIGN\n");
    return 2;
  }
  vectors(argv[1]);
  long_texts(argv[1]);
  ranks(argv[1]);
  wrong(argv[1], argv[2]);
  adapters(argv[2], argv[3], argv[4]);
  return finish("embed");
}
