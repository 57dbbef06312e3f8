/* Files of sessions, branches, and what need not be computed again, with tiny models. */
#include "common.h"
#include <math.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>

#define KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static char path[4096];

static HappyModel *open_model(const char *file, uint32_t branches) {
  HappyLoadOptions load;
  OK(happy_load_options_init(&load, sizeof load, &error));
  CHECK(load.branches == 0 && load.branch_bytes == 0 && load.draft_tokens == 0);
  load.threads = 1;
  load.context = 512;
  load.branches = branches;
  load.branch_bytes = branches * (64 << 10);
  HappyModel *model = NULL;
  OK(happy_model_open_file(TEXT(file), &load, &model, &error));
  return model;
}

static HappySession *begin(const HappyModel *model, const char *key, const char *policy) {
  HappySessionOptions options;
  OK(happy_session_options_init(&options, sizeof options, &error));
  CHECK(options.file_key.len == 0 && options.context_policy.len == 0);
  options.system = text_of("Be brief.");
  options.file_key = text_of(key);
  options.context_policy = text_of(policy);
  HappySession *session = NULL;
  OK(happy_session_new(model, &options, &session, &error));
  return session;
}

/* A turn whose answer a grammar writes; NULL answers the messages as they are. */
static HappyFinish say(const HappySession *session, const char *text) {
  HappyGenerateOptions options;
  OK(happy_generate_options_init(&options, sizeof options, &error));
  options.grammar = text_of("root ::= \"Hello, world.\"");
  HappyFinish finish = {.size = sizeof finish};
  OK(happy_chat(session, text, text == NULL ? 0 : strlen(text), &options, NULL, NULL, &finish, &error));
  return finish;
}

/* Whether the session's file is told with this part. */
static int file_says(const HappySession *session, const char *part) {
  HappyString file;
  OK(happy_session_file(session, &file, &error));
  int found = strstr(file.data, part) != NULL;
  if (!found) {
    fprintf(stderr, "%s is not in %s\n", part, file.data);
  }
  happy_string_free(&file);
  return found;
}

static int same_messages(const HappySession *a, const HappySession *b) {
  HappyString left, right;
  OK(happy_session_messages(a, &left, &error));
  OK(happy_session_messages(b, &right, &error));
  int same = strcmp(left.data, right.data) == 0;
  happy_string_free(&left);
  happy_string_free(&right);
  return same;
}

static HappyReuse reuse_of(const HappySession *session) {
  HappyReuse reuse = {.size = sizeof reuse};
  OK(happy_session_reuse(session, &reuse, &error));
  return reuse;
}

/* A session that goes on in another one computes what one that was never interrupted computes. */
static void files(const HappyModel *model, const char *other) {
  HappySession *whole = begin(model, "", ""), *first = begin(model, "", "");
  CHECK(file_says(first, "{}"));
  FAILS(HAPPY_INVALID_ARGUMENT, "has no file", happy_session_append(first, &error));
  FAILS(HAPPY_INVALID_ARGUMENT, "has no file", happy_session_compact(first, &error));
  FAILS(HAPPY_INVALID_ARGUMENT, "path is empty", happy_session_save(first, "", 0, &error));
  say(whole, "Hi");
  say(first, "Hi");
  OK(happy_session_save(first, TEXT(path), &error));
  say(whole, "Again");
  say(first, "Again");
  CHECK(file_says(first, "\"turns\":2") && file_says(first, "\"messages\":5") && file_says(first, path));
  CHECK(file_says(first, "\"sealed\":false") && file_says(first, "\"problem\":null"));
  HappySession *second = begin(model, "", "");
  FAILS(HAPPY_FILE, "another session has it open", happy_session_restore(second, TEXT(path), &error));
  OK(happy_session_free(first));
  OK(happy_session_restore(second, TEXT(path), &error));
  CHECK(same_messages(second, whole));
  HappyFinish expected = say(whole, "More"), found = say(second, "More");
  CHECK(found.prompt_tokens == expected.prompt_tokens && found.reused_tokens == expected.reused_tokens);
  CHECK(found.reused_tokens > 50 && same_messages(second, whole) && file_says(second, "\"turns\":3"));
  /* Messages between turns; a new file without what was replaced; no file. */
  OK(happy_session_add_message(second, TEXT("user"), TEXT("and"), &error));
  OK(happy_session_append(second, &error));
  CHECK(file_says(second, "\"messages\":8"));
  OK(happy_session_compact(second, &error));
  CHECK(file_says(second, "\"turns\":1"));
  OK(happy_session_restore(second, TEXT(path), &error)); /* its own */
  OK(happy_session_close_file(second, &error));
  CHECK(file_says(second, "{}"));
  FAILS(HAPPY_FILE, "nowhere", happy_session_restore(second, TEXT("/nowhere/x.happy"), &error));
  FAILS(HAPPY_FILE, "nowhere", happy_session_save(second, TEXT("/nowhere/x.happy"), &error));
  FAILS(HAPPY_SESSION_FILE, "not a session", happy_session_restore(second, TEXT(other), &error));
  CHECK(file_says(second, "{}") && !same_messages(second, whole));

  /* Another model with the same vocabulary computes it again. */
  HappyModel *changed = open_model(other, 0);
  HappySession *third = begin(changed, "", "");
  FAILS(HAPPY_REPLAY, "another model file", happy_session_restore(third, TEXT(path), &error));
  HappyCancel *cancel = NULL;
  OK(happy_cancel_new(&cancel, &error));
  OK(happy_cancel_raise(cancel, &error));
  FAILS(HAPPY_CANCELLED, "", happy_session_replay(third, TEXT(path), cancel, &error));
  OK(happy_session_replay(third, TEXT(path), NULL, &error));
  CHECK(same_messages(third, second) && file_says(third, "\"turns\":1"));
  OK(happy_session_restore(third, TEXT(path), &error));
  OK(happy_cancel_free(cancel));
  OK(happy_session_free(third));
  OK(happy_model_free(changed));
  OK(happy_session_free(second));
  OK(happy_session_free(whole));
}

/* An answer that was cut off goes on with the same text, with other random numbers too; with other options it is another answer. */
static void cut_off(const HappyModel *model) {
  static char bytes[1 << 20], copy[4200];
  snprintf(copy, sizeof copy, "%s.cut", path);
  HappySampler *samplers[2];
  for (int i = 0; i < 2; i++) {
    HappySamplerOptions drawn;
    OK(happy_sampler_options_init(&drawn, sizeof drawn, &error));
    drawn.temperature = 2;
    drawn.seed = 40 + i;
    OK(happy_sampler_new(&drawn, &samplers[i], &error));
  }
  HappyGenerateOptions options;
  OK(happy_generate_options_init(&options, sizeof options, &error));
  options.max_tokens = 60;
  options.grammar = text_of("root ::= [a-z ]{60,}");
  options.sampler = samplers[0];
  HappySession *whole = begin(model, "", "");
  OK(happy_session_save(whole, TEXT(path), &error));
  OK(happy_start(whole, TEXT("Hi"), &options, &error));
  HappyEvent event = {.size = sizeof event};
  for (int texts = 0; texts < 40; texts += event.kind == HAPPY_EVENT_TEXT) {
    OK(happy_next(whole, &event, &error));
    CHECK(event.kind != HAPPY_EVENT_DONE);
  }
  /* As a process leaves it that is killed now. */
  FILE *file = fopen(path, "rb");
  CHECK(file != NULL);
  size_t len = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  do {
    OK(happy_next(whole, &event, &error));
  } while (event.kind != HAPPY_EVENT_DONE);
  CHECK(file_says(whole, "\"unfinished\":0") && file_says(whole, "\"turns\":2"));

  for (int i = 0; i < 3; i++) {
    file = fopen(copy, "wb");
    CHECK(file != NULL && fwrite(bytes, 1, len, file) == len && fclose(file) == 0);
    HappySession *second = begin(model, "", "");
    OK(happy_session_restore(second, TEXT(copy), &error));
    CHECK(file_says(second, "\"unfinished\":33") && file_says(second, "\"messages\":2"));
    options.sampler = samplers[1];
    options.max_tokens = i == 1 ? 61 : 60;
    if (i == 2) {
      OK(happy_session_regenerate(second, &error));
    }
    HappyFinish finish = {.size = sizeof finish};
    OK(happy_chat(second, NULL, 0, &options, NULL, NULL, &finish, &error));
    CHECK(finish.generated_tokens == options.max_tokens && same_messages(second, whole) == (i == 0));
    CHECK(file_says(second, "\"unfinished\":0") && file_says(second, "\"turns\":2"));
    OK(happy_session_free(second));
  }
  remove(copy);
  OK(happy_session_free(whole));
  OK(happy_sampler_free(samplers[0]));
  OK(happy_sampler_free(samplers[1]));
}

static int file_contains(const char *part) {
  FILE *file = fopen(path, "rb");
  CHECK(file != NULL);
  static char bytes[1 << 20];
  size_t len = fread(bytes, 1, sizeof bytes, file), size = strlen(part);
  fclose(file);
  for (size_t at = 0; at + size <= len; at++) {
    if (memcmp(bytes + at, part, size) == 0) {
      return 1;
    }
  }
  return 0;
}

static void keys(const HappyModel *model) {
  HappySession *session = begin(model, "", "");
  say(session, "Secret");
  OK(happy_session_save(session, TEXT(path), &error));
  CHECK(file_contains("Secret") && file_contains("Hello"));
  HappySession *sealed = begin(model, KEY, "");
  FAILS(HAPPY_FILE, "another session", happy_session_restore(sealed, TEXT(path), &error));
  OK(happy_session_close_file(session, &error));
  FAILS(HAPPY_SESSION_FILE, "not sealed", happy_session_restore(sealed, TEXT(path), &error));
  say(sealed, "Secret");
  OK(happy_session_save(sealed, TEXT(path), &error));
  say(sealed, "Other");
  CHECK(file_says(sealed, "\"sealed\":true") && !file_contains("Secret") && !file_contains("Hello"));
  OK(happy_session_close_file(sealed, &error));
  FAILS(HAPPY_SESSION_FILE, "open it with its key", happy_session_restore(session, TEXT(path), &error));
  OK(happy_session_free(session));
  char other[] = KEY;
  other[0] = '1';
  session = begin(model, other, "");
  FAILS(HAPPY_SESSION_FILE, "another key", happy_session_restore(session, TEXT(path), &error));
  OK(happy_session_free(session));
  session = begin(model, KEY, "");
  OK(happy_session_restore(session, TEXT(path), &error));
  CHECK(same_messages(session, sealed) && say(session, "More").reused_tokens > 50);
  OK(happy_session_free(session));
  OK(happy_session_free(sealed));
  HappySessionOptions options;
  OK(happy_session_options_init(&options, sizeof options, &error));
  options.file_key = text_of("password");
  FAILS(HAPPY_INVALID_ARGUMENT, "64 hexadecimal digits", happy_session_new(model, &options, &session, &error));
}

/* A turn whose file cannot grow goes on, and says so. */
static void full_disk(const HappyModel *model) {
  HappySession *session = begin(model, "", "");
  OK(happy_session_save(session, TEXT(path), &error));
  struct rlimit limit, small;
  CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && getrlimit(RLIMIT_FSIZE, &limit) == 0);
  small = limit;
  small.rlim_cur = 512;
  CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
  say(session, "Hi");
  int told = file_says(session, "\"problem\":\"cannot write");
  HappyStatus again = happy_session_append(session, NULL);
  CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  CHECK(told && again == HAPPY_FILE);
  OK(happy_session_append(session, &error));
  CHECK(file_says(session, "\"problem\":null") && file_says(session, "\"messages\":3"));
  OK(happy_session_free(session));
}

static void branches(const char *file) {
  HappyModel *model = open_model(file, 4);
  HappySession *session = begin(model, "", "");
  FAILS(HAPPY_INVALID_ARGUMENT, "nothing was pinned: 0 tokens", happy_session_pin(session, &error));
  FAILS(HAPPY_INVALID_ARGUMENT, "answer again", happy_session_regenerate(session, &error));
  uint64_t whole = say(session, "One").prompt_tokens;
  OK(happy_session_pin(session, &error));
  CHECK(reuse_of(session).branches == 1 && reuse_of(session).reused_tokens == 0);
  /* The same question again: one token gives the logits. */
  OK(happy_session_regenerate(session, &error));
  HappyFinish finish = say(session, NULL);
  CHECK(finish.prompt_tokens == 1 && finish.reused_tokens == whole - 1);
  /* The only branch is number 1. */
  OK(happy_session_go_to_branch(session, 1, &error));
  FAILS(HAPPY_INVALID_ARGUMENT, "no branch 2: expected 1 to 1", happy_session_go_to_branch(session, 2, &error));
  uint32_t number = 0;
  OK(happy_session_branch(session, &number, &error));
  CHECK(number == 2);
  FAILS(HAPPY_INVALID_ARGUMENT, "out is NULL", happy_session_branch(session, NULL, &error));
  HappySession *other = begin(model, "", "");
  say(other, "One");
  CHECK(same_messages(session, other));
  /* The other branch says it otherwise; then back to the first. */
  OK(happy_session_edit(session, 1, &error));
  finish = say(session, "Two");
  CHECK(finish.prompt_tokens < whole && finish.reused_tokens > 5 && !same_messages(session, other));
  OK(happy_session_go_to_branch(session, 1, &error));
  CHECK(same_messages(session, other));
  finish = say(session, "Three");
  CHECK(finish.reused_tokens > whole && finish.prompt_tokens < whole);
  OK(happy_session_go_to_branch(session, 2, &error));
  OK(happy_session_edit(session, 0, &error));
  say(session, "Two");
  HappyReuse reuse = reuse_of(session);
  CHECK(reuse.prompts == 5 && reuse.reused_tokens < reuse.prompt_tokens && reuse.reused_tokens > whole);
  CHECK(reuse.branches >= 2 && reuse.branches <= 4 && reuse.dropped_messages == 0);
  FAILS(HAPPY_INVALID_ARGUMENT, "no message 9", happy_session_edit(session, 9, &error));
  FAILS(HAPPY_INVALID_ARGUMENT, "no branch 3", happy_session_go_to_branch(session, 3, &error));
  FAILS(HAPPY_INVALID_ARGUMENT, "no branch 0", happy_session_go_to_branch(session, 0, &error));
  OK(happy_session_unpin(session, &error));
  OK(happy_session_free(other));
  OK(happy_session_free(session));
  OK(happy_model_free(model));
}

static uint64_t positions(const HappySession *session) {
  HappyMemory memory = {.size = sizeof memory};
  OK(happy_session_memory(session, &memory, &error));
  return memory.positions;
}

static void trimming(const HappyModel *model) {
  HappySession *session = begin(model, "", "");
  uint64_t whole = say(session, "Hi").prompt_tokens;
  FAILS(HAPPY_INVALID_ARGUMENT, "level is 9", happy_session_trim(session, 9, &error));
  FAILS(HAPPY_INVALID_ARGUMENT, "level is -1", happy_session_trim(session, -1, &error));
  for (int level = HAPPY_TRIM_SCRATCH; level <= HAPPY_TRIM_BRANCHES; level++) {
    uint64_t before = positions(session);
    OK(happy_session_trim(session, level, &error));
    CHECK(positions(session) == before && before > whole);
    CHECK(say(session, "Hi").reused_tokens + 1 >= before);
    whole = before;
  }
  OK(happy_session_trim(session, HAPPY_TRIM_SEQUENCES, &error));
  CHECK(positions(session) == 0);
  HappyFinish finish = say(session, "Hi");
  CHECK(finish.reused_tokens == 0 && finish.prompt_tokens > whole);
  /* From the file nothing is computed twice. */
  OK(happy_session_save(session, TEXT(path), &error));
  uint64_t before = positions(session);
  OK(happy_session_trim(session, HAPPY_TRIM_SEQUENCES, &error));
  CHECK(positions(session) == 0);
  finish = say(session, "Hi");
  CHECK(finish.reused_tokens + 1 >= before && finish.reused_tokens > whole);
  OK(happy_session_trim(session, HAPPY_TRIM_SEQUENCES, &error));
  OK(happy_session_append(session, &error));
  CHECK(positions(session) > before && file_says(session, "\"messages\":13"));
  OK(happy_session_free(session));
}

static atomic_int resumed;

static void *resume_later(void *model) {
  const struct timespec soon = {0, 20 * 1000 * 1000};
  nanosleep(&soon, NULL);
  atomic_store(&resumed, 1);
  HappyError *failed = NULL;
  CHECK(happy_model_resume(model, &failed) == HAPPY_OK && failed == NULL);
  return NULL;
}

/* A turn of a paused model ends when another thread lets it go on, or when it is cancelled. */
static void pausing(HappyModel *model) {
  FAILS(HAPPY_INVALID_HANDLE, "", happy_model_pause(NULL, &error));
  FAILS(HAPPY_INVALID_HANDLE, "", happy_model_resume(NULL, &error));
  HappySession *session = begin(model, "", "");
  OK(happy_model_resume(model, &error));
  OK(happy_model_pause(model, &error));
  pthread_t thread;
  pthread_create(&thread, NULL, resume_later, model);
  say(session, "Hi");
  CHECK(atomic_load(&resumed) == 1);
  pthread_join(thread, NULL);
  OK(happy_model_pause(model, &error));
  HappyCancel *cancel = NULL;
  OK(happy_cancel_new(&cancel, &error));
  OK(happy_cancel_raise(cancel, &error));
  HappyGenerateOptions options;
  OK(happy_generate_options_init(&options, sizeof options, &error));
  options.cancel = cancel;
  HappyFinish finish = {.size = sizeof finish};
  OK(happy_chat(session, TEXT("Again"), &options, NULL, NULL, &finish, &error));
  CHECK(finish.reason == HAPPY_FINISH_CANCELLED);
  OK(happy_cancel_free(cancel));
  OK(happy_model_resume(model, &error));
  OK(happy_session_free(session));
}

/* Tokens that are computed ahead cost memory and change no text. */
static void guesses(const char *file) {
  HappyLoadOptions load;
  OK(happy_load_options_init(&load, sizeof load, &error));
  load.threads = 1;
  load.context = 512;
  HappyModel *models[2] = {NULL, NULL};
  HappySession *sessions[2];
  uint64_t bytes[2];
  HappySamplerOptions best;
  OK(happy_sampler_options_init(&best, sizeof best, &error));
  best.temperature = 0;
  HappySampler *greedy = NULL;
  OK(happy_sampler_new(&best, &greedy, &error));
  for (int i = 0; i < 2; i++) {
    load.draft_tokens = i * 7;
    OK(happy_model_open_file(TEXT(file), &load, &models[i], &error));
    HappyPlan plan = {.size = sizeof plan};
    OK(happy_model_plan(models[i], &plan, &error));
    bytes[i] = plan.scratch_bytes;
    sessions[i] = begin(models[i], "", "");
    for (int turn = 0; turn < 3; turn++) {
      HappyGenerateOptions options;
      OK(happy_generate_options_init(&options, sizeof options, &error));
      options.max_tokens = 40;
      options.sampler = greedy;
      OK(happy_chat(sessions[i], TEXT("Hi, hi, hi."), &options, NULL, NULL, NULL, &error));
    }
  }
  CHECK(bytes[1] > bytes[0] && same_messages(sessions[0], sessions[1]));
  HappyReuse without = reuse_of(sessions[0]), with = reuse_of(sessions[1]);
  CHECK(without.guessed_tokens == 0 && with.guessed_tokens > 0 && with.accepted_tokens <= with.guessed_tokens);
  for (int i = 0; i < 2; i++) {
    OK(happy_session_free(sessions[i]));
    OK(happy_model_free(models[i]));
  }
  OK(happy_sampler_free(greedy));
  load.draft_tokens = 8;
  FAILS(HAPPY_INVALID_ARGUMENT, "draft tokens", happy_model_open_file(TEXT(file), &load, &models[0], &error));
  CHECK(load.draft_head == 0);
  load.draft_tokens = 7;
  load.draft_head = 1;
  FAILS(HAPPY_MODEL, "draft head", happy_model_open_file(TEXT(file), &load, &models[0], &error));
}

static void policies(const HappyModel *model) {
  HappySession *stops = begin(model, "", "stop"), *drops = begin(model, "", "drop-oldest");
  HappyStatus full = HAPPY_OK;
  uint64_t dropped = 0;
  char text[60];
  memset(text, 'a', sizeof text);
  for (int turn = 0; turn < 9; turn++) {
    HappyGenerateOptions options;
    OK(happy_generate_options_init(&options, sizeof options, &error));
    options.max_tokens = 4;
    if (full == HAPPY_OK) {
      full = happy_chat(stops, text, sizeof text, &options, NULL, NULL, NULL, NULL);
    }
    OK(happy_chat(drops, text, sizeof text, &options, NULL, NULL, NULL, &error));
    dropped = reuse_of(drops).dropped_messages;
  }
  CHECK(full == HAPPY_CONTEXT_FULL && dropped > 0 && dropped % 2 == 0);
  OK(happy_session_free(stops));
  OK(happy_session_free(drops));
  /* An answer that is longer than the context. */
  HappySession *shifts = begin(model, "", "shift");
  HappyGenerateOptions endless;
  OK(happy_generate_options_init(&endless, sizeof endless, &error));
  endless.max_tokens = 700;
  endless.ignore_end = 1;
  HappyFinish finish = {.size = sizeof finish};
  OK(happy_chat(shifts, TEXT("Hi"), &endless, NULL, NULL, &finish, &error));
  CHECK(finish.reason == HAPPY_FINISH_LENGTH && finish.generated_tokens == 700);
  CHECK(reuse_of(shifts).shifted_tokens >= 64 && reuse_of(shifts).dropped_messages == 0);
  OK(happy_session_free(shifts));
  HappySessionOptions options;
  OK(happy_session_options_init(&options, sizeof options, &error));
  options.context_policy = text_of("slide");
  HappySession *none = NULL;
  FAILS(HAPPY_INVALID_ARGUMENT, "context policy `slide`", happy_session_new(model, &options, &none, &error));
}

/* Threads and pace by a governor: the same words, and what it decided. */
static void governed(const HappyModel *model) {
  HappySessionOptions options;
  OK(happy_session_options_init(&options, sizeof options, &error));
  CHECK(options.governor.len == 0 && options.governor_cache.len == 0);
  options.system = text_of("Be brief.");
  options.governor = text_of("rate=50");
  OK(happy_report_device(0.5f, 1, 0, &error));
  HappySession *plain = begin(model, "", ""), *governed = NULL;
  OK(happy_session_new(model, &options, &governed, &error));
  say(plain, "Hi");
  say(governed, "Hi");
  CHECK(same_messages(plain, governed));
  HappyString text;
  OK(happy_session_governor(governed, &text, &error));
  CHECK(strstr(text.data, "\"threads\":1") != NULL && strstr(text.data, "\"tokens_per_second\":50.0") != NULL);
  OK(happy_string_free(&text));
  OK(happy_session_governor(plain, &text, &error));
  CHECK(strcmp(text.data, "{}") == 0);
  OK(happy_string_free(&text));
  OK(happy_session_free(plain));
  OK(happy_session_free(governed));
  OK(happy_report_device(NAN, -1, -1, &error));
  FAILS(HAPPY_INVALID_ARGUMENT, "thermal status is 9", happy_report_device(NAN, 9, -1, &error));
  HappySession *none = NULL;
  options.governor = text_of("fast");
  FAILS(HAPPY_INVALID_ARGUMENT, "governor is `fast`", happy_session_new(model, &options, &none, &error));
  options.governor = text_of("rate=-1");
  FAILS(HAPPY_INVALID_ARGUMENT, "rate is -1", happy_session_new(model, &options, &none, &error));
  FAILS(HAPPY_INVALID_HANDLE, "", happy_session_governor(NULL, &text, &error));
  FAILS(HAPPY_INVALID_ARGUMENT, "NULL", happy_session_governor(NULL, NULL, &error));
}

/* This device computes what it computed, and another model does not. */
static void verified(const HappyModel *model, const char *file) {
  HappyString reference, found;
  OK(happy_model_reference(model, NULL, &reference, &error));
  CHECK(reference.len > 1000);
  OK(happy_model_verify(model, reference.data, reference.len, NULL, &found, &error));
  CHECK(strcmp(found.data, "{\"same\":true}") == 0);
  OK(happy_string_free(&found));
  HappyModel *other = open_model(file, 0);
  OK(happy_model_verify(other, reference.data, reference.len, NULL, &found, &error));
  CHECK(strstr(found.data, "\"same\":false") != NULL && strstr(found.data, "\"part\":\"") != NULL);
  OK(happy_string_free(&found));
  OK(happy_model_free(other));
  FAILS(HAPPY_INVALID_ARGUMENT, "", happy_model_verify(model, TEXT("{}"), NULL, &found, &error));
  FAILS(HAPPY_INVALID_HANDLE, "", happy_model_verify(NULL, TEXT("{}"), NULL, &found, &error));
  FAILS(HAPPY_INVALID_ARGUMENT, "NULL", happy_model_reference(model, NULL, NULL, &error));
  HappyCancel *cancel = NULL;
  OK(happy_cancel_new(&cancel, &error));
  OK(happy_cancel_raise(cancel, &error));
  FAILS(HAPPY_CANCELLED, "", happy_model_reference(model, cancel, &found, &error));
  OK(happy_cancel_free(cancel));
  OK(happy_string_free(&reference));
}

/* Each function with an invalid handle, and while a turn runs. */
static void misuse(const HappyModel *model) {
  HappySession *busy = begin(model, "", "");
  OK(happy_start(busy, TEXT("Hi"), NULL, &error));
  const struct {
    const HappySession *session;
    HappyStatus status;
  } cases[] = {{NULL, HAPPY_INVALID_HANDLE}, {(const HappySession *)model, HAPPY_INVALID_HANDLE}, {busy, HAPPY_BUSY}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const HappySession *s = cases[i].session;
    HappyStatus status = cases[i].status;
    uint32_t number = 77;
    FAILS(status, "", happy_session_save(s, TEXT(path), &error));
    FAILS(status, "", happy_session_restore(s, TEXT(path), &error));
    FAILS(status, "", happy_session_replay(s, TEXT(path), NULL, &error));
    FAILS(status, "", happy_session_append(s, &error));
    FAILS(status, "", happy_session_compact(s, &error));
    FAILS(status, "", happy_session_close_file(s, &error));
    FAILS(status, "", happy_session_regenerate(s, &error));
    FAILS(status, "", happy_session_edit(s, 1, &error));
    FAILS(status, "", happy_session_branch(s, &number, &error));
    FAILS(status, "", happy_session_go_to_branch(s, 1, &error));
    FAILS(status, "", happy_session_pin(s, &error));
    FAILS(status, "", happy_session_unpin(s, &error));
    FAILS(status, "", happy_session_trim(s, HAPPY_TRIM_SEQUENCES, &error));
    CHECK(number == 77);
  }
  HappyString file;
  HappyReuse reuse = {.size = sizeof reuse};
  FAILS(HAPPY_INVALID_HANDLE, "", happy_session_file(NULL, &file, &error));
  FAILS(HAPPY_INVALID_HANDLE, "", happy_session_reuse(NULL, &reuse, &error));
  FAILS(HAPPY_INVALID_ARGUMENT, "NULL", happy_session_file(busy, NULL, &error));
  FAILS(HAPPY_INVALID_ARGUMENT, "NULL", happy_session_reuse(busy, NULL, &error));
  CHECK(file_says(busy, "{}") && reuse_of(busy).prompts == 1);
  OK(happy_session_free(busy));
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: saved MODEL OTHER-MODEL FILE\n");
    return 2;
  }
  snprintf(path, sizeof path, "%s", argv[3]);
  HappyModel *model = open_model(argv[1], 0);
  files(model, argv[2]);
  cut_off(model);
  keys(model);
  full_disk(model);
  branches(argv[1]);
  trimming(model);
  pausing(model);
  guesses(argv[1]);
  policies(model);
  governed(model);
  verified(model, argv[2]);
  misuse(model);
  OK(happy_model_free(model));
  return finish("saved");
}
