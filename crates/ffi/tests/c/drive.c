/* Drives every function of the header, but for those that `embed.c` drives, with a model, a package that contains it, and where in it.
 *
 * usage: drive MODEL PACKAGE OFFSET LENGTH
 */
#include "common.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

static HappyModel *model;

static int logged;

static void on_log(void *user, int32_t level, const char *text, size_t len) {
  CHECK(user == &logged && strlen(text) == len && len > 0);
  CHECK(level == HAPPY_LOG_INFO || level == HAPPY_LOG_ERROR);
  /* From within: no deadlock. */
  CHECK(happy_set_log(NULL, NULL, HAPPY_LOG_OFF, NULL) == HAPPY_BUSY);
  logged++;
}

static int32_t on_progress(void *user, float fraction) {
  float *last = (float *)user;
  CHECK(fraction >= *last && fraction <= 1.0f);
  *last = fraction;
  return 1;
}

static int32_t give_up(void *user, float fraction) {
  (void)user;
  return fraction < 0.05f;
}

static void library(void) {
  CHECK(happy_abi_version() == HAPPY_ABI_VERSION);
  CHECK(strlen(happy_version()) >= 5);
  HappyString cpu = {NULL, 0};
  OK(happy_cpu(&cpu, &error));
  CHECK(strstr(cpu.data, "\"default_threads\":") != NULL && strlen(cpu.data) == cpu.len);
  printf("%s\n", cpu.data);
  OK(happy_string_free(&cpu));
  CHECK(cpu.data == NULL && cpu.len == 0);
  OK(happy_string_free(&cpu));
  OK(happy_set_log(on_log, &logged, HAPPY_LOG_INFO, &error));
}

static HappyLoadOptions load_options(void) {
  HappyLoadOptions options;
  memset(&options, 0xff, sizeof options);
  OK(happy_load_options_init(&options, sizeof options, &error));
  CHECK(options.size == sizeof options && options.threads == 0 && options.cancel == NULL);
  CHECK(options.snapshot_bytes == 32u << 20 && options.embeddings == 0 && options.n_adapters == 0);
  options.threads = 2;
  options.context = 256;
  return options;
}

static void plans(const char *path, const char *package, uint64_t offset, uint64_t length) {
  HappyLoadOptions options = load_options();
  HappyPlan plan = {.size = sizeof plan};
  OK(happy_plan_file(TEXT(path), &options, &plan, &error));
  CHECK(plan.fits == 1 && plan.context == 256 && plan.fitting_context == 256 && plan.threads == 2);
  CHECK(plan.kv_bytes > 0 && plan.anon_bytes > plan.kv_bytes && plan.weight_bytes > 1000);
  int fd = open(package, O_RDONLY);
  HappyPlan part = {.size = sizeof part};
  OK(happy_plan_fd(fd, offset, length, &options, &part, &error));
  CHECK(part.anon_bytes == plan.anon_bytes && part.weight_bytes == plan.weight_bytes);
  OK(happy_plan_fd(fd, offset, 0, &options, &part, &error));
  CHECK(part.weight_bytes >= plan.weight_bytes);
  close(fd);
  options.copy = 1;
  OK(happy_plan_file(TEXT(path), &options, &part, &error));
  CHECK(part.weights_copied == 1 && part.anon_bytes == plan.anon_bytes + plan.weight_bytes);
  options.copy = 0;

  /* Over the budget: a plan says so, loading is refused with the numbers. */
  options.memory_budget = plan.anon_bytes - plan.kv_bytes / 2;
  OK(happy_plan_file(TEXT(path), &options, &part, &error));
  CHECK(part.fits == 0 && part.budget_bytes == options.memory_budget);
  CHECK(part.fitting_context >= 64 && part.fitting_context < 256 && part.context == 256);
  HappyModel *refused = NULL;
  FAILS(HAPPY_MEMORY, "would fit", happy_model_open_file(TEXT(path), &options, &refused, &error));
  options.context = part.fitting_context;
  OK(happy_plan_file(TEXT(path), &options, &part, &error));
  CHECK(part.fits == 1);
  options.memory_budget = 1;
  OK(happy_plan_file(TEXT(path), &options, &part, &error));
  CHECK(part.fits == 0 && part.fitting_context == 0);
  FAILS(HAPPY_MEMORY, "no context would fit", happy_model_open_file(TEXT(path), &options, &refused, &error));
  CHECK(refused == NULL);
}

/* From a path and a descriptor, mapped and read, with progress, given up and cancelled. */
static void opening(const char *path, const char *package, uint64_t offset, uint64_t length) {
  int fd = open(package, O_RDONLY);
  for (uint32_t copy = 0; copy < 2; copy++) {
    HappyLoadOptions options = load_options();
    float last = 0;
    options.copy = copy;
    options.progress = on_progress;
    options.progress_user = &last;
    HappyModel *opened = NULL;
    OK(happy_model_open_fd(fd, offset, length, &options, &opened, &error));
    CHECK(last == 1.0f);
    HappyString info;
    OK(happy_model_info(opened, 0, &info, &error));
    CHECK(strstr(info.data, "\"architecture\":\"llama\"") != NULL);
    happy_string_free(&info);
    OK(happy_model_free(opened));

    options.progress = give_up;
    FAILS(HAPPY_CANCELLED, "loading was cancelled", happy_model_open_file(TEXT(path), &options, &opened, &error));
    options.progress = NULL;
    HappyCancel *cancel = NULL;
    OK(happy_cancel_new(&cancel, &error));
    options.cancel = cancel;
    OK(happy_cancel_raise(cancel, &error));
    FAILS(HAPPY_CANCELLED, "loading was cancelled", happy_model_open_file(TEXT(path), &options, &opened, &error));
    OK(happy_cancel_lower(cancel, &error));
    OK(happy_model_open_file(TEXT(path), &options, &opened, &error));
    OK(happy_cancel_free(cancel));
    OK(happy_model_free(opened));
  }
  /* The descriptor is the caller's: its position did not move, and it may be closed. */
  CHECK(lseek(fd, 0, SEEK_CUR) == 0);
  HappyLoadOptions options = load_options();
  OK(happy_model_open_fd(fd, offset, length, &options, &model, &error));
  CHECK(close(fd) == 0);
}

static void texts(void) {
  const char *said = "h\303\251!";
  uint32_t tokens[16];
  size_t count = 0;
  OK(happy_tokenize(model, TEXT(said), 0, tokens, 16, &count, &error));
  CHECK(count == 4);
  size_t again = 0;
  OK(happy_tokenize(model, TEXT(said), 0, NULL, 0, &again, &error));
  CHECK(again == count);
  uint32_t few[2] = {0, 77};
  OK(happy_tokenize(model, TEXT(said), 0, few, 1, &again, &error));
  CHECK(again == count && few[0] == tokens[0] && few[1] == 77);
  OK(happy_tokenize(model, TEXT(said), 1, NULL, 0, &again, &error));
  CHECK(again == count + 1);
  OK(happy_tokenize(model, NULL, 0, 0, NULL, 0, &again, &error));
  CHECK(again == 0);
  HappyString text;
  OK(happy_detokenize(model, tokens, count, 0, &text, &error));
  CHECK(strcmp(text.data, said) == 0);
  happy_string_free(&text);
  OK(happy_detokenize(model, NULL, 0, 0, &text, &error));
  CHECK(text.len == 0 && text.data[0] == 0);
  happy_string_free(&text);
  OK(happy_token_piece(model, tokens[1], &text, &error));
  CHECK(text.len == 1 && (unsigned char)text.data[0] == 0xc3);
  happy_string_free(&text);
  FAILS(HAPPY_TOKENIZER, "", happy_token_piece(model, 1000000, &text, &error));
  uint32_t wrong = 1000000;
  FAILS(HAPPY_TOKENIZER, "", happy_detokenize(model, &wrong, 1, 0, &text, &error));

  const char *messages = "[{\"role\": \"user\", \"content\": \"Hi\"}]";
  OK(happy_apply_template(model, TEXT(messages), NULL, 0, 1, &text, &error));
  CHECK(strcmp(text.data, "[user]Hi[assistant]") == 0);
  happy_string_free(&text);
  OK(happy_apply_template(model, TEXT(messages), NULL, 0, 0, &text, &error));
  CHECK(strcmp(text.data, "[user]Hi") == 0);
  happy_string_free(&text);
  FAILS(HAPPY_INVALID_ARGUMENT, "the messages: expected a JSON array, found an object",
        happy_apply_template(model, TEXT("{}"), NULL, 0, 1, &text, &error));
  FAILS(HAPPY_TEMPLATE, "", happy_apply_template(model, TEXT("[{\"role\": \"refused\"}]"), NULL, 0, 1, &text, &error));

  HappyPlan plan = {.size = sizeof plan};
  OK(happy_model_plan(model, &plan, &error));
  CHECK(plan.fits == 1 && plan.context == 256);
  OK(happy_model_info(model, 1, &text, &error));
  CHECK(strstr(text.data, "\"llama.block_count\":2") != NULL && strstr(text.data, "\"reply_format\":\"hermes\"") != NULL);
  happy_string_free(&text);
}

static HappyGenerateOptions generate_options(void) {
  HappyGenerateOptions options;
  memset(&options, 0xff, sizeof options);
  OK(happy_generate_options_init(&options, sizeof options, &error));
  CHECK(options.size == sizeof options && options.sampler == NULL && options.raw == 0);
  return options;
}

static void check_messages(HappySession *session, const char *expected) {
  HappyString messages;
  OK(happy_session_messages(session, &messages, &error));
  if (strcmp(messages.data, expected) != 0) {
    fprintf(stderr, "messages: %s\nexpected: %s\n", messages.data, expected);
    failures++;
  }
  happy_string_free(&messages);
}

#define SYSTEM "{\"role\":\"system\",\"content\":\"Be brief.\"}"
#define USER "{\"role\":\"user\",\"content\":\"Hi\"}"

static HappySession *session_with(const char *tools) {
  HappySessionOptions options;
  OK(happy_session_options_init(&options, sizeof options, &error));
  options.system = text_of("Be brief.");
  options.tools = text_of(tools);
  options.template_vars = text_of("{\"enable_thinking\": false}");
  options.ignore_unused = 1; /* the template has no place for the variable */
  HappySession *session = NULL;
  OK(happy_session_new(model, &options, &session, &error));
  return session;
}

/* The model's weights are random: grammars say what it answers. */
static void turns(void) {
  HappySession *session = session_with("");
  HappyGenerateOptions options = generate_options();
  options.grammar = text_of("root ::= \"Hello, world.\"");
  static Heard heard;
  HappyFinish finish = {.size = sizeof finish};
  FAILS(HAPPY_INVALID_ARGUMENT, "no turn", happy_session_finish(session, &finish, &error));
  OK(happy_chat(session, TEXT("Hi"), &options, on_event, &heard, &finish, &error));
  CHECK(strcmp(heard.text, "Hello, world.") == 0 && heard.dones == 1 && heard.prefills >= 1 && heard.texts > 5);
  CHECK(finish.prompt_tokens > 20 && finish.reused_tokens == 0 && finish.prefill_rate > 0);
  CHECK(finish.reason == heard.finish);
  check_messages(session, "[" SYSTEM "," USER ",{\"role\":\"assistant\",\"content\":\"Hello, world.\"}]");
  HappyFinish last = {.size = sizeof last};
  OK(happy_session_finish(session, &last, &error));
  CHECK(memcmp(&last, &finish, sizeof last) == 0);

  /* Only what is new is computed. Text comes together. Nobody listens. */
  memset(&heard, 0, sizeof heard);
  options.coalesce_bytes = 5;
  OK(happy_chat(session, TEXT("Again"), &options, on_event, &heard, &finish, &error));
  CHECK(strcmp(heard.text, "Hello, world.") == 0 && heard.texts == 3 && finish.reused_tokens > 30);
  memset(&heard, 0, sizeof heard);
  options.coalesce_bytes = 0;
  options.coalesce_ms = 3600000;
  OK(happy_chat(session, TEXT("Again"), &options, on_event, &heard, &finish, &error));
  CHECK(strcmp(heard.text, "Hello, world.") == 0 && heard.texts == 1);
  OK(happy_chat(session, TEXT("Again"), &options, NULL, NULL, NULL, &error));

  HappyMemory memory = {.size = sizeof memory};
  OK(happy_session_memory(session, &memory, &error));
  CHECK(memory.positions > 100 && memory.kv_resident_bytes > 0 && memory.kv_resident_bytes <= memory.kv_bytes);
  CHECK(memory.process_anon_bytes > 0 && memory.weights_copied == 0);

  /* The conversation is the caller's. */
  OK(happy_session_truncate(session, 3, &error));
  FAILS(HAPPY_INVALID_ARGUMENT, "there are 3", happy_session_truncate(session, 4, &error));
  OK(happy_session_clear(session, &error));
  check_messages(session, "[" SYSTEM "]");
  OK(happy_session_memory(session, &memory, &error));
  CHECK(memory.positions == 0);
  OK(happy_session_add_message(session, TEXT("user"), TEXT("Hi"), &error));
  OK(happy_session_add_json(session, TEXT("{\"role\": \"assistant\", \"content\": \"Yes?\"}"), &error));
  OK(happy_session_add_message(session, TEXT("user"), TEXT("Hi"), &error));
  OK(happy_chat(session, NULL, 0, &options, NULL, NULL, &finish, &error));
  check_messages(session, "[" SYSTEM "," USER ",{\"role\":\"assistant\",\"content\":\"Yes?\"}," USER
                          ",{\"role\":\"assistant\",\"content\":\"Hello, world.\"}]");

  /* Continuing text: no template, the conversation stays as it is. */
  options = generate_options();
  options.raw = 1;
  options.max_tokens = 4;
  options.ignore_end = 1;
  OK(happy_session_clear(session, &error));
  OK(happy_chat(session, TEXT("Once upon"), &options, NULL, NULL, &finish, &error));
  /* BOS, and a space is three bytes in such vocabularies. */
  CHECK(finish.reason == HAPPY_FINISH_LENGTH && finish.generated_tokens == 4 && finish.prompt_tokens == 12);
  check_messages(session, "[" SYSTEM "]");
  FAILS(HAPPY_CONTEXT_FULL, "256", happy_chat(session, heard.text, 300, &options, NULL, NULL, NULL, &error));
  options.max_tokens = 0;
  OK(happy_chat(session, TEXT("Once upon"), &options, NULL, NULL, &finish, &error));
  CHECK(finish.reason == HAPPY_FINISH_CONTEXT_FULL);

  /* Stop strings. */
  HappyText stops[2] = {text_of("zzz"), text_of(", w")};
  options = generate_options();
  options.grammar = text_of("root ::= \"Hello, world.\"");
  options.stop = stops;
  options.n_stop = 2;
  memset(&heard, 0, sizeof heard);
  OK(happy_chat(session, TEXT("Hi"), &options, on_event, &heard, &finish, &error));
  CHECK(finish.reason == HAPPY_FINISH_STOP_STRING && strcmp(heard.text, "Hello") == 0);

  OK(happy_session_free(session));
}

static void samplers(void) {
  HappySession *session = session_with("");
  HappySamplerOptions options;
  OK(happy_sampler_options_init(&options, sizeof options, &error));
  CHECK(options.top_k == 40 && options.seed == HAPPY_SEED_RANDOM);
  HappyLogitBias bias[2] = {{3 + 'a', 50.0f}, {2, -1.0f / 0.0f}};
  HappyText breakers[1] = {text_of("\n")};
  options.seed = 7;
  options.logit_bias = bias;
  options.n_logit_bias = 2;
  options.dry_multiplier = 0.5f;
  options.dry_breakers = breakers;
  options.n_dry_breakers = 1;
  options.order = text_of("penalties;dry;top_k;temperature");
  HappySampler *sampler = NULL;
  OK(happy_sampler_new(&options, &sampler, &error));
  HappyGenerateOptions generate = generate_options();
  generate.sampler = sampler;
  generate.max_tokens = 3;
  static Heard heard;
  OK(happy_chat(session, TEXT("Hi"), &generate, on_event, &heard, NULL, &error));
  CHECK(strcmp(heard.text, "aaa") == 0);
  OK(happy_sampler_free(sampler));

  /* The same seed, the same text; without grammar the model babbles bytes. */
  options.n_logit_bias = 0;
  options.temperature = 2.0f;
  OK(happy_sampler_new(&options, &sampler, &error));
  generate.sampler = sampler;
  generate.max_tokens = 20;
  static Heard first, second;
  OK(happy_session_clear(session, &error));
  OK(happy_chat(session, TEXT("Hi"), &generate, on_event, &first, NULL, &error));
  OK(happy_session_clear(session, &error));
  OK(happy_chat(session, TEXT("Hi"), &generate, on_event, &second, NULL, &error));
  CHECK(first.len > 0 && strcmp(first.text, second.text) == 0);
  OK(happy_sampler_free(sampler));

  options.order = text_of("top_k;nonsense");
  FAILS(HAPPY_INVALID_ARGUMENT, "nonsense", happy_sampler_new(&options, &sampler, &error));
  options.order = text_of("");
  options.top_p = -1.0f;
  FAILS(HAPPY_INVALID_ARGUMENT, "top", happy_sampler_new(&options, &sampler, &error));
  options.top_p = 1.0f;
  options.mirostat = 3;
  FAILS(HAPPY_INVALID_ARGUMENT, "mirostat is 3", happy_sampler_new(&options, &sampler, &error));
  OK(happy_session_free(session));
}

static void tools(void) {
  HappySession *session = session_with("[{\"type\": \"function\", \"function\": {\"name\": \"now\", \"parameters\": {}}}]");
  HappyGenerateOptions options = generate_options();
  options.tool_choice = text_of("none"); /* the grammar writes the calls */
  options.grammar = text_of("root ::= \"<think>hm</think>One moment.<tool_call>{\\\"name\\\": \\\"now\\\", "
                            "\\\"arguments\\\": {\\\"zone\\\": \\\"UTC\\\"}}</tool_call>\"");
  static Heard heard;
  OK(happy_chat(session, TEXT("Hi"), &options, on_event, &heard, NULL, &error));
  CHECK(strcmp(heard.text, "One moment.") == 0 && heard.reasonings > 0);
  CHECK(heard.starts == 1 && heard.arguments > 0 && heard.calls == 1 && heard.malformed == 0);
  CHECK(strcmp(heard.name, "now") == 0 && strcmp(heard.call_arguments, "{\"zone\":\"UTC\"}") == 0);
  OK(happy_session_add_json(session, TEXT("{\"role\": \"tool\", \"content\": \"noon\"}"), &error));
  options.grammar = text_of("root ::= \"Noon.<tool_call>{broken</tool_call>\"");
  memset(&heard, 0, sizeof heard);
  OK(happy_chat(session, NULL, 0, &options, on_event, &heard, NULL, &error));
  CHECK(heard.malformed == 1 && heard.calls == 0 && strstr(heard.text, "Noon.") != NULL);
  options.grammar = text_of("");

  /* What `tool_choice` asks for: a call that the limit of tokens cuts off is unfinished; text is not. Greedy, so that no random
     choice ends the text sooner. */
  HappySamplerOptions greedy;
  HappySampler *sampler = NULL;
  OK(happy_sampler_options_init(&greedy, sizeof greedy, &error));
  greedy.temperature = 0.0f;
  OK(happy_sampler_new(&greedy, &sampler, &error));
  options.sampler = sampler;
  const struct {
    const char *choice;
    HappyFinishReason reason;
  } choices[] = {{"", HAPPY_FINISH_LENGTH},
                 {"auto", HAPPY_FINISH_LENGTH},
                 {"none", HAPPY_FINISH_LENGTH},
                 {"required", HAPPY_FINISH_UNFINISHED},
                 {"now", HAPPY_FINISH_UNFINISHED}};
  options.max_tokens = 2;
  for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
    OK(happy_session_clear(session, &error));
    options.tool_choice = text_of(choices[i].choice);
    HappyFinish finish = {.size = sizeof finish};
    OK(happy_chat(session, TEXT("Hi"), &options, NULL, NULL, &finish, &error));
    CHECK(finish.reason == choices[i].reason);
  }
  options.sampler = NULL;
  OK(happy_sampler_free(sampler));
  HappyString left_out;
  OK(happy_session_left_out(session, &left_out, &error));
  CHECK(strcmp(left_out.data, "[]") == 0);
  happy_string_free(&left_out);
  options.tool_choice = text_of("later");
  FAILS(HAPPY_INVALID_ARGUMENT, "`later`", happy_chat(session, TEXT("Hi"), &options, NULL, NULL, NULL, &error));
  options.tool_choice = text_of("none");
  options.max_tokens = 0;
  OK(happy_session_clear(session, &error));
  options.json_schema = text_of("{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"boolean\"}}, "
                                "\"required\": [\"a\"], \"additionalProperties\": false}");
  memset(&heard, 0, sizeof heard);
  OK(happy_chat(session, TEXT("Hi"), &options, on_event, &heard, NULL, &error));
  CHECK(strstr(heard.text, "\"a\"") != NULL);
  OK(happy_session_free(session));
}

/* A schema that no grammar can follow leaves that tool unconstrained, and is told while the turn runs and after it. */
static void a_tool_without_a_grammar(void) {
  HappySession *session = session_with(
      "[{\"name\": \"odd\", \"parameters\": {\"type\": \"object\", \"properties\": {\"a\": "
      "{\"type\": \"string\", \"pattern\": \"(?<=x)y\"}}}}, {\"name\": \"now\", \"parameters\": {}}]");
  HappyGenerateOptions options = generate_options();
  options.max_tokens = 2;
  OK(happy_start(session, TEXT("Hi"), &options, &error));
  for (int during = 1; during >= 0; during--) {
    HappyString left_out;
    OK(happy_session_left_out(session, &left_out, &error));
    CHECK(strstr(left_out.data, "[{\"tool\":\"odd\",\"callable\":true,\"reason\":\"") == left_out.data);
    CHECK(strstr(left_out.data, "not supported") != NULL && strstr(left_out.data, "\"now\"") == NULL);
    happy_string_free(&left_out);
    OK(happy_stop(session, &error));
  }
  options.tool_choice = text_of("required");
  FAILS(HAPPY_GRAMMAR, "", happy_chat(session, TEXT("Hi"), &options, NULL, NULL, NULL, &error));
  OK(happy_session_free(session));
}

static void *raise_soon(void *cancel) {
  usleep(3000);
  CHECK(happy_cancel_raise((HappyCancel *)cancel, NULL) == HAPPY_OK);
  return NULL;
}

static void pulled(void) {
  HappySession *session = session_with("");
  HappyGenerateOptions options = generate_options();
  options.grammar = text_of("root ::= \"Hello, world.\"");
  HappyEvent event = {.size = sizeof event};
  FAILS(HAPPY_INVALID_ARGUMENT, "no turn is running", happy_next(session, &event, &error));
  OK(happy_stop(session, &error));
  OK(happy_start(session, TEXT("Hi"), &options, &error));
  FAILS(HAPPY_BUSY, "happy_stop", happy_start(session, TEXT("Hi"), &options, &error));
  FAILS(HAPPY_BUSY, "a turn is running", happy_chat(session, TEXT("Hi"), &options, NULL, NULL, NULL, &error));
  FAILS(HAPPY_BUSY, "a turn is running", happy_session_clear(session, &error));
  HappyMemory memory = {.size = sizeof memory};
  OK(happy_session_memory(session, &memory, &error));
  static Heard heard;
  do {
    OK(happy_next(session, &event, &error));
    on_event(&heard, &event);
  } while (event.kind != HAPPY_EVENT_DONE && heard.events < 1000);
  CHECK(strcmp(heard.text, "Hello, world.") == 0 && heard.dones == 1);
  FAILS(HAPPY_INVALID_ARGUMENT, "no turn is running", happy_next(session, &event, &error));

  /* Stopped: what came stays as the answer. */
  OK(happy_session_clear(session, &error));
  OK(happy_start(session, TEXT("Hi"), &options, &error));
  do {
    OK(happy_next(session, &event, &error));
  } while (event.kind != HAPPY_EVENT_TEXT);
  CHECK(event.text.len == 1 && event.text.data[0] == 'H');
  OK(happy_stop(session, &error));
  HappyFinish finish = {.size = sizeof finish};
  OK(happy_session_finish(session, &finish, &error));
  CHECK(finish.reason == HAPPY_FINISH_CANCELLED);
  check_messages(session, "[" SYSTEM "," USER ",{\"role\":\"assistant\",\"content\":\"H\"}]");

  /* Or the turn is taken back; by the callback, and by a token before, during and after. */
  options.drop_cancelled = 1;
  HappyCancel *cancel = NULL;
  OK(happy_cancel_new(&cancel, &error));
  options.cancel = cancel;
  OK(happy_session_clear(session, &error));
  memset(&heard, 0, sizeof heard);
  heard.stop_after = 2;
  OK(happy_chat(session, TEXT("Hi"), &options, on_event, &heard, &finish, &error));
  CHECK(finish.reason == HAPPY_FINISH_CANCELLED && heard.texts == 2);
  check_messages(session, "[" SYSTEM "]");
  OK(happy_cancel_raise(cancel, &error));
  memset(&heard, 0, sizeof heard);
  OK(happy_chat(session, TEXT("Hi"), &options, on_event, &heard, &finish, &error));
  CHECK(finish.reason == HAPPY_FINISH_CANCELLED && heard.texts == 0 && heard.dones == 1);
  check_messages(session, "[" SYSTEM "]");
  OK(happy_cancel_lower(cancel, &error));
  pthread_t thread;
  pthread_create(&thread, NULL, raise_soon, cancel);
  options.grammar = text_of("root ::= [a-z]*");
  options.max_tokens = 1;
  do { /* one of these turns is running or to begin when the token is raised */
    OK(happy_session_clear(session, &error));
    OK(happy_chat(session, TEXT("Hi"), &options, NULL, NULL, &finish, &error));
    options.max_tokens = 100;
  } while (finish.reason != HAPPY_FINISH_CANCELLED);
  pthread_join(thread, NULL);
  OK(happy_cancel_lower(cancel, &error));
  OK(happy_session_clear(session, &error));
  options.grammar = text_of("root ::= \"Hello, world.\"");
  OK(happy_chat(session, TEXT("Hi"), &options, NULL, NULL, &finish, &error));
  CHECK(finish.reason != HAPPY_FINISH_CANCELLED);
  OK(happy_cancel_raise(cancel, &error)); /* after: nothing happens */
  check_messages(session, "[" SYSTEM "," USER ",{\"role\":\"assistant\",\"content\":\"Hello, world.\"}]");
  OK(happy_cancel_free(cancel));
  OK(happy_session_free(session));
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: drive MODEL PACKAGE OFFSET LENGTH\n");
    return 2;
  }
  uint64_t offset = strtoull(argv[3], NULL, 10), length = strtoull(argv[4], NULL, 10);
  library();
  plans(argv[1], argv[2], offset, length);
  opening(argv[1], argv[2], offset, length);
  texts();
  turns();
  samplers();
  tools();
  a_tool_without_a_grammar();
  pulled();
  OK(happy_model_free(model));
  CHECK(logged > 10);
  OK(happy_set_log(NULL, NULL, HAPPY_LOG_OFF, &error));
  return finish("drive");
}
