/* Everything that a program can do wrong: each gives an error, and nothing breaks.
 *
 * usage: misuse MODEL PACKAGE OFFSET LENGTH OTHER-FILE TRUNCATED-MODEL NO-TEMPLATE-MODEL
 */
#include "common.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#define BAD HAPPY_INVALID_ARGUMENT
#define HANDLE HAPPY_INVALID_HANDLE
#define FAKE(type, number) ((type *)(uintptr_t)(number))

static HappyModel *model;
static HappySession *session;

static void nulls(const char *path) {
  HappyModel *m;
  HappySession *s;
  HappyString text;
  HappyPlan plan = {.size = sizeof plan};
  HappyEvent event = {.size = sizeof event};
  HappyFinish done = {.size = sizeof done};
  HappyMemory memory = {.size = sizeof memory};
  uint32_t token = 5;
  size_t n;
  HappyEmbeddings *e;
  FAILS(BAD, "out is NULL", happy_cpu(NULL, &error));
  FAILS(BAD, "is NULL", happy_load_options_init(NULL, 80, &error));
  FAILS(BAD, "is NULL", happy_session_options_init(NULL, 80, &error));
  FAILS(BAD, "is NULL", happy_sampler_options_init(NULL, 80, &error));
  FAILS(BAD, "is NULL", happy_generate_options_init(NULL, 80, &error));
  FAILS(BAD, "out is NULL", happy_cancel_new(NULL, &error));
  FAILS(HANDLE, "is NULL, expected a cancel token", happy_cancel_raise(NULL, &error));
  FAILS(HANDLE, "is NULL, expected a cancel token", happy_cancel_lower(NULL, &error));
  FAILS(BAD, "the path is empty", happy_plan_file(NULL, 0, NULL, &plan, &error));
  FAILS(BAD, "path is NULL", happy_plan_file(NULL, 7, NULL, &plan, &error));
  FAILS(BAD, "the HappyPlan is NULL", happy_plan_file(TEXT(path), NULL, NULL, &error));
  FAILS(BAD, "out is NULL", happy_model_open_file(TEXT(path), NULL, NULL, &error));
  FAILS(BAD, "the path is empty", happy_model_open_file("", 0, NULL, &m, &error));
  FAILS(HANDLE, "expected a model", happy_model_plan(NULL, &plan, &error));
  FAILS(BAD, "is NULL", happy_model_plan(model, NULL, &error));
  FAILS(HANDLE, "expected a model", happy_model_info(NULL, 0, &text, &error));
  FAILS(BAD, "out is NULL", happy_model_info(model, 0, NULL, &error));
  FAILS(HANDLE, "expected a model", happy_tokenize(NULL, "x", 1, 0, &token, 1, &n, &error));
  FAILS(BAD, "text is NULL", happy_tokenize(model, NULL, 1, 0, &token, 1, &n, &error));
  FAILS(BAD, "tokens is NULL", happy_tokenize(model, "x", 1, 0, NULL, 1, &n, &error));
  FAILS(BAD, "count is NULL", happy_tokenize(model, "x", 1, 0, &token, 1, NULL, &error));
  FAILS(HANDLE, "expected a model", happy_detokenize(NULL, &token, 1, 0, &text, &error));
  FAILS(BAD, "tokens is NULL", happy_detokenize(model, NULL, 1, 0, &text, &error));
  FAILS(BAD, "out is NULL", happy_detokenize(model, &token, 1, 0, NULL, &error));
  FAILS(HANDLE, "expected a model", happy_token_piece(NULL, 1, &text, &error));
  FAILS(BAD, "out is NULL", happy_token_piece(model, 1, NULL, &error));
  FAILS(HANDLE, "expected a model", happy_apply_template(NULL, "[]", 2, NULL, 0, 1, &text, &error));
  FAILS(BAD, "messages is NULL", happy_apply_template(model, NULL, 2, NULL, 0, 1, &text, &error));
  FAILS(BAD, "out is NULL", happy_apply_template(model, "[]", 2, NULL, 0, 1, NULL, &error));
  FAILS(HANDLE, "expected an embedder", happy_embed(NULL, NULL, 0, NULL, &e, &error));
  FAILS(HANDLE, "expected a session", happy_session_left_out(NULL, &text, &error));
  FAILS(HANDLE, "expected a session", happy_session_set_adapters(NULL, NULL, 0, &error));
  FAILS(BAD, "out is NULL", happy_sampler_new(NULL, NULL, &error));
  FAILS(HANDLE, "expected a model", happy_session_new(NULL, NULL, &s, &error));
  FAILS(BAD, "out is NULL", happy_session_new(model, NULL, NULL, &error));
  FAILS(HANDLE, "expected a session", happy_session_add_message(NULL, "user", 4, "x", 1, &error));
  FAILS(BAD, "the role is empty", happy_session_add_message(session, NULL, 0, "x", 1, &error));
  FAILS(BAD, "content is NULL", happy_session_add_message(session, "user", 4, NULL, 1, &error));
  FAILS(HANDLE, "expected a session", happy_session_add_json(NULL, "{}", 2, &error));
  FAILS(BAD, "the message: EOF", happy_session_add_json(session, NULL, 0, &error));
  FAILS(HANDLE, "expected a session", happy_session_messages(NULL, &text, &error));
  FAILS(BAD, "out is NULL", happy_session_messages(session, NULL, &error));
  FAILS(HANDLE, "expected a session", happy_session_truncate(NULL, 0, &error));
  FAILS(HANDLE, "expected a session", happy_session_clear(NULL, &error));
  FAILS(HANDLE, "expected a session", happy_session_memory(NULL, &memory, &error));
  FAILS(BAD, "the HappyMemory is NULL", happy_session_memory(session, NULL, &error));
  FAILS(HANDLE, "expected a session", happy_session_finish(NULL, &done, &error));
  FAILS(BAD, "the HappyFinish is NULL", happy_session_finish(session, NULL, &error));
  FAILS(HANDLE, "expected a session", happy_chat(NULL, "x", 1, NULL, NULL, NULL, NULL, &error));
  FAILS(BAD, "no message to answer", happy_chat(session, NULL, 0, NULL, NULL, NULL, NULL, &error));
  FAILS(HANDLE, "expected a session", happy_start(NULL, "x", 1, NULL, &error));
  FAILS(HANDLE, "expected a session", happy_next(NULL, &event, &error));
  FAILS(BAD, "the HappyEvent is NULL", happy_next(session, NULL, &error));
  FAILS(HANDLE, "expected a session", happy_stop(NULL, &error));
  FAILS(HANDLE, "expected a session", happy_session_save(NULL, "x", 1, &error));
  FAILS(HANDLE, "expected a session", happy_session_restore(NULL, "x", 1, &error));
  /* Without an error to write to. */
  CHECK(happy_session_clear(NULL, NULL) == HANDLE && happy_cpu(NULL, NULL) == BAD);
  /* NULL is nothing to free. */
  CHECK(happy_model_free(NULL) == HAPPY_OK && happy_session_free(NULL) == HAPPY_OK);
  CHECK(happy_sampler_free(NULL) == HAPPY_OK && happy_cancel_free(NULL) == HAPPY_OK);
  CHECK(happy_error_free(NULL) == HAPPY_OK && happy_string_free(NULL) == HAPPY_OK);
  CHECK(happy_error_status(NULL) == HANDLE && strcmp(happy_error_message(NULL, NULL), "") == 0);
}

static void handles(void) {
  HappyCancel *cancel = NULL;
  HappySampler *sampler = NULL;
  OK(happy_cancel_new(&cancel, &error));
  OK(happy_sampler_new(NULL, &sampler, &error));
  /* Of another kind, also where it is an option. */
  FAILS(HANDLE, "is a session, expected a model", happy_session_new((HappyModel *)session, NULL, &session, &error));
  FAILS(HANDLE, "is a model, expected a session", happy_session_clear((HappySession *)model, &error));
  FAILS(HANDLE, "is a sampler, expected a cancel token", happy_cancel_raise((HappyCancel *)sampler, &error));
  HappyGenerateOptions options;
  OK(happy_generate_options_init(&options, sizeof options, &error));
  options.sampler = (HappySampler *)cancel;
  FAILS(HANDLE, "is a cancel token, expected a sampler", happy_chat(session, "x", 1, &options, NULL, NULL, NULL, &error));
  CHECK(happy_model_free((HappyModel *)cancel) == HANDLE && happy_error_free((HappyError *)model) == HANDLE);
  /* Freed twice, and used after. */
  CHECK(happy_sampler_free(sampler) == HAPPY_OK && happy_sampler_free(sampler) == HANDLE);
  CHECK(happy_cancel_free(cancel) == HAPPY_OK && happy_cancel_free(cancel) == HANDLE);
  options.sampler = sampler;
  FAILS(HANDLE, "was a sampler, which has been freed", happy_chat(session, "x", 1, &options, NULL, NULL, NULL, &error));
  FAILS(HANDLE, "was a cancel token, which has been freed", happy_cancel_raise(cancel, &error));
  HappyCancel *next = NULL;
  OK(happy_cancel_new(&next, &error));
  FAILS(HANDLE, "has been freed", happy_cancel_raise(cancel, &error));
  CHECK(happy_cancel_free(next) == HAPPY_OK);
  /* Made up, and real pointers. */
  int local;
  const uintptr_t numbers[] = {1, 2, 7, 4096, 0xdeadbeef, UINTPTR_MAX, UINTPTR_MAX / 2, (uintptr_t)&local};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    FAILS(HANDLE, "", happy_session_clear(FAKE(HappySession, numbers[i]), &error));
    CHECK(happy_model_free(FAKE(HappyModel, numbers[i])) == HANDLE);
  }
  /* Strings: freed twice by a copy, not the library's. */
  HappyString text, copy;
  OK(happy_cpu(&text, &error));
  copy = text;
  CHECK(happy_string_free(&text) == HAPPY_OK && happy_string_free(&copy) == HANDLE);
  char mine[4] = "abc";
  HappyString foreign = {mine, 3};
  CHECK(happy_string_free(&foreign) == HANDLE);
  /* An error that was freed has no message. */
  CHECK(happy_session_clear(NULL, &error) == HANDLE && error != NULL);
  HappyError *held = error;
  error = NULL;
  CHECK(happy_error_free(held) == HAPPY_OK && happy_error_free(held) == HANDLE);
  size_t len = 9;
  CHECK(happy_error_message(held, &len)[0] == 0 && len == 0);
}

static void texts(const char *path) {
  uint32_t token;
  size_t n;
  HappyString text;
  FAILS(BAD, "text is not UTF-8 at byte 2", happy_tokenize(model, "ab\xff", 3, 0, &token, 1, &n, &error));
  FAILS(BAD, "text is not UTF-8 at byte 0", happy_tokenize(model, "\xc3\xa9", 1, 0, &token, 1, &n, &error));
  FAILS(BAD, "is not UTF-8 at byte 1", happy_chat(session, "a\xed\xa0\x80", 4, NULL, NULL, NULL, NULL, &error));
  FAILS(BAD, "is not UTF-8", happy_model_open_file("/tmp/\xff", 6, NULL, &model, &error));
  FAILS(BAD, "expected at most", happy_tokenize(model, "x", SIZE_MAX, 0, &token, 1, &n, &error));
  FAILS(BAD, "expected at most", happy_tokenize(model, "x", (size_t)-1 >> 1, 0, &token, 1, &n, &error));
  FAILS(BAD, "expected at most", happy_tokenize(model, "x", (size_t)1 << 30, 0, &token, 1, &n, &error));
  FAILS(BAD, "expected at most", happy_detokenize(model, &token, SIZE_MAX, 0, &text, &error));
  FAILS(BAD, "not aligned", happy_detokenize(model, (uint32_t *)((char *)&n + 1), 1, 0, &text, &error));
  /* Text without a NUL after it: only its length counts. */
  char unterminated[3] = {'a', 'b', 'c'};
  OK(happy_tokenize(model, unterminated, 2, 0, NULL, 0, &n, &error));
  CHECK(n == 2);
  OK(happy_tokenize(model, "a\0b", 3, 0, NULL, 0, &n, &error));
  CHECK(n == 3);
  char long_path[70000];
  memset(long_path, 'x', sizeof long_path);
  HappyModel *m = NULL;
  FAILS(HAPPY_FILE, "cannot read", happy_model_open_file(long_path, sizeof long_path, NULL, &m, &error));
  FAILS(HAPPY_FILE, "cannot read", happy_model_open_file(path, strlen(path) + 1, NULL, &m, &error));
  CHECK(m == NULL);
}

static void structs(const char *path) {
  HappyLoadOptions load;
  HappyModel *m = NULL;
  FAILS(BAD, "the size of HappyLoadOptions is 3", happy_load_options_init(&load, 3, &error));
  FAILS(BAD, "the size of HappyLoadOptions is", happy_load_options_init(&load, SIZE_MAX, &error));
  OK(happy_load_options_init(&load, sizeof load, &error));
  const uint32_t sizes[] = {0, 1, 4, offsetof(HappyLoadOptions, adapters) - 1, 4097, UINT32_MAX};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    load.size = sizes[i];
    FAILS(BAD, "the size of HappyLoadOptions is", happy_model_open_file(TEXT(path), &load, &m, &error));
    if (sizes[i] != offsetof(HappyLoadOptions, adapters) - 1) {
      HappyPlan plan = {.size = sizes[i]};
      FAILS(BAD, "the size of HappyPlan is", happy_plan_file(TEXT(path), NULL, &plan, &error));
    }
  }
  /* A newer caller: a field that this library does not know must be 0. */
  struct {
    HappyLoadOptions known;
    uint64_t unknown;
  } newer;
  OK(happy_load_options_init(&newer.known, sizeof newer, &error));
  CHECK(newer.unknown == 0 && newer.known.size == sizeof newer);
  newer.known.context = 64;
  HappyPlan plan = {.size = sizeof plan};
  OK(happy_plan_file(TEXT(path), &newer.known, &plan, &error));
  newer.unknown = 1;
  FAILS(BAD, "has a field at byte", happy_plan_file(TEXT(path), &newer.known, &plan, &error));

  OK(happy_load_options_init(&load, sizeof load, &error));
  load.kv_type = 9;
  FAILS(BAD, "kv_type is 9", happy_model_open_file(TEXT(path), &load, &m, &error));
  OK(happy_load_options_init(&load, sizeof load, &error));
  load.copy = 2;
  FAILS(BAD, "copy is 2", happy_model_open_file(TEXT(path), &load, &m, &error));
  OK(happy_load_options_init(&load, sizeof load, &error));
  load.threads = 100000;
  FAILS(BAD, "the number of threads is 100000", happy_model_open_file(TEXT(path), &load, &m, &error));
  OK(happy_load_options_init(&load, sizeof load, &error));
  load.context = UINT32_MAX;
  FAILS(HAPPY_MEMORY, "over the budget", happy_model_open_file(TEXT(path), &load, &m, &error));
  OK(happy_load_options_init(&load, sizeof load, &error));
  load.isa = text_of("mmx");
  FAILS(HAPPY_UNSUPPORTED, "mmx", happy_model_open_file(TEXT(path), &load, &m, &error));

  HappySessionOptions options;
  HappySession *s = NULL;
  OK(happy_session_options_init(&options, sizeof options, &error));
  options.tools = text_of("{}");
  FAILS(BAD, "tools: expected a JSON array", happy_session_new(model, &options, &s, &error));
  options.tools = text_of("[");
  FAILS(BAD, "line 1 column 1", happy_session_new(model, &options, &s, &error));
  options.tools = text_of("");
  options.template_vars = text_of("3");
  FAILS(BAD, "template_vars: expected a JSON object, found a number", happy_session_new(model, &options, &s, &error));
  OK(happy_session_options_init(&options, sizeof options, &error));
  options.ignore_unused = 2;
  FAILS(BAD, "ignore_unused is 2", happy_session_new(model, &options, &s, &error));
  FAILS(BAD, "`role`", happy_session_add_json(session, "{\"content\": 3}", 14, &error));
  FAILS(BAD, "`role`", happy_session_add_json(session, "[]", 2, &error));

  HappyGenerateOptions generate;
  OK(happy_generate_options_init(&generate, sizeof generate, &error));
  generate.grammar = text_of("root ::= \"a\"\nroot2 = x");
  FAILS(HAPPY_GRAMMAR, "line 2, column", happy_chat(session, "x", 1, &generate, NULL, NULL, NULL, &error));
  generate.grammar = text_of("");
  generate.json_schema = text_of("{\"type\": 3}");
  FAILS(HAPPY_GRAMMAR, "the JSON schema", happy_chat(session, "x", 1, &generate, NULL, NULL, NULL, &error));
  generate.grammar = text_of("root ::= \"a\"");
  FAILS(BAD, "both grammar and json_schema", happy_chat(session, "x", 1, &generate, NULL, NULL, NULL, &error));
  OK(happy_generate_options_init(&generate, sizeof generate, &error));
  generate.n_stop = 1;
  FAILS(BAD, "stop is NULL", happy_chat(session, "x", 1, &generate, NULL, NULL, NULL, &error));
  HappyText bad = {NULL, 3};
  generate.stop = &bad;
  FAILS(BAD, "stop is NULL", happy_chat(session, "x", 1, &generate, NULL, NULL, NULL, &error));
  generate.n_stop = SIZE_MAX / 4;
  FAILS(BAD, "stop has", happy_chat(session, "x", 1, &generate, NULL, NULL, NULL, &error));
  OK(happy_generate_options_init(&generate, sizeof generate, &error));
  generate.raw = 1;
  FAILS(BAD, "no text to continue", happy_chat(session, NULL, 0, &generate, NULL, NULL, NULL, &error));
  generate.raw = 7;
  FAILS(BAD, "raw is 7", happy_chat(session, "x", 1, &generate, NULL, NULL, NULL, &error));
  FAILS(BAD, "the log level is 9", happy_set_log(NULL, NULL, 9, &error));
  /* What failed leaves no message. */
  HappyString messages;
  OK(happy_session_messages(session, &messages, &error));
  CHECK(strcmp(messages.data, "[]") == 0);
  happy_string_free(&messages);
}

static void files(const char *path, const char *package, uint64_t offset, uint64_t length, const char *other,
                  const char *truncated) {
  HappyModel *m = NULL;
  FAILS(HAPPY_FILE, "absent.gguf", happy_model_open_file(TEXT("/tmp/absent.gguf"), NULL, &m, &error));
  FAILS(HAPPY_FILE, "/tmp", happy_model_open_file(TEXT("/tmp"), NULL, &m, &error));
  FAILS(HAPPY_MODEL, "cannot parse", happy_model_open_file(TEXT(other), NULL, &m, &error));
  FAILS(HAPPY_MODEL, "cannot parse", happy_model_open_file(TEXT(truncated), NULL, &m, &error));
  FAILS(BAD, "is negative", happy_model_open_fd(-1, 0, 0, NULL, &m, &error));
  FAILS(HAPPY_FILE, "file descriptor 999", happy_model_open_fd(999, 0, 0, NULL, &m, &error));
  int fd = open(package, O_RDONLY), dir = open("/tmp", O_RDONLY), pipes[2];
  CHECK(fd >= 0 && dir >= 0 && pipe(pipes) == 0);
  HappyLoadOptions load;
  OK(happy_load_options_init(&load, sizeof load, &error));
  for (load.copy = 0; load.copy < 2; load.copy++) {
    FAILS(HAPPY_FILE, "not inside the file", happy_model_open_fd(fd, UINT64_MAX, 0, &load, &m, &error));
    FAILS(HAPPY_FILE, "not inside the file", happy_model_open_fd(fd, (uint64_t)1 << 40, 5, &load, &m, &error));
    FAILS(HAPPY_FILE, "past the end", happy_model_open_fd(fd, offset, UINT64_MAX, &load, &m, &error));
    FAILS(HAPPY_MODEL, "cannot parse", happy_model_open_fd(fd, offset + 1, 0, &load, &m, &error));
    FAILS(HAPPY_MODEL, "cannot parse", happy_model_open_fd(fd, offset, length / 2, &load, &m, &error));
    FAILS(HAPPY_MODEL, "cannot parse", happy_model_open_fd(fd, offset, 3, &load, &m, &error));
    FAILS(HAPPY_FILE, "not a regular file", happy_model_open_fd(dir, 0, 0, &load, &m, &error));
    FAILS(HAPPY_FILE, "not a regular file", happy_model_open_fd(pipes[0], 0, 0, &load, &m, &error));
  }
  close(fd), close(dir), close(pipes[0]), close(pipes[1]);
  int writing = open(path, O_WRONLY);
  FAILS(HAPPY_FILE, "cannot read", happy_model_open_fd(writing, 0, 0, NULL, &m, &error));
  close(writing);
  CHECK(m == NULL);
}

/* A turn that waits in its callback while another thread tries. */
typedef struct {
  pthread_mutex_t lock;
  pthread_cond_t turn;
  int running, tried, ended;
  HappySession *session;
} Meeting;

static int32_t meet(void *user, const HappyEvent *event) {
  Meeting *meeting = (Meeting *)user;
  (void)event;
  HappyString text = {NULL, 0};
  HappyMemory memory = {.size = sizeof memory};
  /* Calls from within the callback. */
  CHECK(happy_session_clear(meeting->session, NULL) != HAPPY_OK);
  CHECK(happy_session_memory(meeting->session, &memory, NULL) != HAPPY_OK);
  CHECK(happy_cpu(&text, NULL) == HAPPY_OK && happy_string_free(&text) == HAPPY_OK);
  pthread_mutex_lock(&meeting->lock);
  meeting->running = 1;
  pthread_cond_broadcast(&meeting->turn);
  while (!meeting->tried) pthread_cond_wait(&meeting->turn, &meeting->lock);
  pthread_mutex_unlock(&meeting->lock);
  return 1;
}

static void *chat_and_meet(void *user) {
  Meeting *meeting = (Meeting *)user;
  HappyFinish done = {.size = sizeof done};
  HappyGenerateOptions options;
  CHECK(happy_generate_options_init(&options, sizeof options, NULL) == HAPPY_OK);
  options.ignore_end = 1;
  CHECK(happy_chat(meeting->session, "x", 1, &options, meet, meeting, &done, NULL) == HAPPY_OK);
  meeting->ended = done.reason;
  return NULL;
}

static void threads(void) {
  for (int free_it = 0; free_it < 2; free_it++) {
    Meeting meeting = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, -1, NULL};
    OK(happy_session_new(model, NULL, &meeting.session, &error));
    pthread_t thread;
    pthread_create(&thread, NULL, chat_and_meet, &meeting);
    pthread_mutex_lock(&meeting.lock);
    while (!meeting.running) pthread_cond_wait(&meeting.turn, &meeting.lock);
    pthread_mutex_unlock(&meeting.lock);
    HappyEvent event = {.size = sizeof event};
    FAILS(HAPPY_BUSY, "in use by another call", happy_session_clear(meeting.session, &error));
    FAILS(HAPPY_BUSY, "in use by another call", happy_next(meeting.session, &event, &error));
    FAILS(HAPPY_BUSY, "in use by another call", happy_chat(meeting.session, "x", 1, NULL, NULL, NULL, NULL, &error));
    if (free_it) {
      /* The other thread's call ends; the handle is gone at once. */
      CHECK(happy_session_free(meeting.session) == HAPPY_OK && happy_session_free(meeting.session) == HANDLE);
      FAILS(HANDLE, "has been freed", happy_session_clear(meeting.session, &error));
    }
    pthread_mutex_lock(&meeting.lock);
    meeting.tried = 1;
    pthread_cond_broadcast(&meeting.turn);
    pthread_mutex_unlock(&meeting.lock);
    pthread_join(thread, NULL);
    CHECK(meeting.ended == (free_it ? HAPPY_FINISH_CANCELLED : HAPPY_FINISH_CONTEXT_FULL));
    CHECK(happy_session_free(meeting.session) == (free_it ? HANDLE : HAPPY_OK));
  }
}

static int32_t free_within(void *user, const HappyEvent *event) {
  HappySession **own = (HappySession **)user;
  (void)event;
  happy_session_free(*own);
  return 1;
}

static void orders(const char *path, const char *plain) {
  /* A session outlives its model, and frees itself within its callback. */
  HappyModel *m = NULL;
  HappySession *s = NULL;
  HappyFinish done = {.size = sizeof done};
  HappyLoadOptions load;
  OK(happy_load_options_init(&load, sizeof load, &error));
  load.threads = 2;
  OK(happy_model_open_file(TEXT(path), &load, &m, &error));
  OK(happy_session_new(m, NULL, &s, &error));
  CHECK(happy_model_free(m) == HAPPY_OK);
  FAILS(HANDLE, "has been freed", happy_session_new(m, NULL, &s, &error));
  HappyGenerateOptions few;
  OK(happy_generate_options_init(&few, sizeof few, &error));
  few.max_tokens = 4;
  OK(happy_chat(s, "x", 1, &few, NULL, NULL, &done, &error));
  OK(happy_chat(s, "y", 1, &few, free_within, &s, &done, &error));
  CHECK(done.reason == HAPPY_FINISH_CANCELLED && happy_session_free(s) == HANDLE);
  /* A turn that was begun and never read. */
  OK(happy_session_new(model, NULL, &s, &error));
  OK(happy_start(s, "x", 1, NULL, &error));
  CHECK(happy_session_free(s) == HAPPY_OK);
  /* Too long for the context; the conversation stays as it was. */
  char text[3000];
  memset(text, 'a', sizeof text);
  OK(happy_session_new(model, NULL, &s, &error));
  FAILS(HAPPY_CONTEXT_FULL, "does not fit", happy_chat(s, text, sizeof text, NULL, NULL, NULL, NULL, &error));
  FAILS(HAPPY_CONTEXT_FULL, "does not fit", happy_start(s, text, sizeof text, NULL, &error));
  FAILS(BAD, "no turn is running", happy_next(s, &(HappyEvent){.size = sizeof(HappyEvent)}, &error));
  OK(happy_chat(s, "x", 1, &few, NULL, NULL, &done, &error));
  CHECK(happy_session_free(s) == HAPPY_OK);
  /* A model without a template continues text, and says so when it is asked to chat. */
  OK(happy_model_open_file(TEXT(plain), &load, &m, &error));
  OK(happy_session_new(m, NULL, &s, &error));
  FAILS(HAPPY_TEMPLATE, "no chat template", happy_chat(s, "x", 1, NULL, NULL, NULL, NULL, &error));
  FAILS(HAPPY_TEMPLATE, "no chat template", happy_session_add_message(s, "user", 4, "x", 1, &error));
  few.raw = 1;
  OK(happy_chat(s, "x", 1, &few, NULL, NULL, &done, &error));
  OK(happy_session_clear(s, &error));
  CHECK(happy_session_free(s) == HAPPY_OK && happy_model_free(m) == HAPPY_OK);
}

int main(int argc, char **argv) {
  if (argc != 8) {
    fprintf(stderr, "usage: misuse MODEL PACKAGE OFFSET LENGTH OTHER-FILE TRUNCATED-MODEL NO-TEMPLATE-MODEL\n");
    return 2;
  }
  HappyLoadOptions load;
  OK(happy_load_options_init(&load, sizeof load, &error));
  load.threads = 2;
  load.context = 256;
  OK(happy_model_open_file(TEXT(argv[1]), &load, &model, &error));
  OK(happy_session_new(model, NULL, &session, &error));
  uint64_t offset = strtoull(argv[3], NULL, 10), length = strtoull(argv[4], NULL, 10);
  nulls(argv[1]);
  handles();
  texts(argv[1]);
  structs(argv[1]);
  files(argv[1], argv[2], offset, length, argv[5], argv[6]);
  threads();
  orders(argv[1], argv[7]);
  CHECK(happy_session_free(session) == HAPPY_OK && happy_model_free(model) == HAPPY_OK);
  return finish("misuse");
}
