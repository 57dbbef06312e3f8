/* Loads, chats and frees, over and over; says how the process grows.
 *
 * usage: cycles MODEL COUNT MOST-KIB
 *
 * Fails if the anonymous memory after the last cycle is more than MOST-KIB above that after the first tenth.
 */
#include "common.h"

static long rss_anon_kib(void) {
  char line[256];
  long kib = -1;
  FILE *status = fopen("/proc/self/status", "r");
  while (status != NULL && fgets(line, sizeof line, status) != NULL) {
    if (sscanf(line, "RssAnon: %ld kB", &kib) == 1) {
      break;
    }
  }
  if (status != NULL) {
    fclose(status);
  }
  return kib;
}

static int32_t count_text(void *user, const HappyEvent *event) {
  *(size_t *)user += event->kind == HAPPY_EVENT_TEXT ? event->text.len : 0;
  return 1;
}

static void cycle(const char *path, int number) {
  HappyLoadOptions load;
  HappyModel *model = NULL;
  HappySession *session = NULL;
  HappySampler *sampler = NULL;
  HappyCancel *cancel = NULL;
  OK(happy_load_options_init(&load, sizeof load, &error));
  load.threads = 2;
  load.context = 256;
  load.copy = number % 4 == 3;
  OK(happy_cancel_new(&cancel, &error));
  load.cancel = cancel;
  OK(happy_model_open_file(TEXT(path), &load, &model, &error));
  OK(happy_session_new(model, NULL, &session, &error));
  OK(happy_sampler_new(NULL, &sampler, &error));
  HappyGenerateOptions options;
  OK(happy_generate_options_init(&options, sizeof options, &error));
  options.max_tokens = 8;
  options.sampler = sampler;
  options.cancel = cancel;
  options.ignore_end = 1;
  size_t bytes = 0;
  OK(happy_chat(session, TEXT("Hello"), &options, count_text, &bytes, NULL, &error));
  CHECK(bytes > 0);
  OK(happy_start(session, TEXT("And?"), &options, &error));
  HappyEvent event = {.size = sizeof event};
  do {
    OK(happy_next(session, &event, &error));
  } while (event.kind != HAPPY_EVENT_DONE);
  HappyString text;
  OK(happy_session_messages(session, &text, &error));
  OK(happy_string_free(&text));
  HappyModel *none = NULL;
  FAILS(HAPPY_FILE, "cannot read", happy_model_open_file(TEXT("/absent"), &load, &none, &error));
  OK(happy_model_free(model));
  OK(happy_sampler_free(sampler));
  OK(happy_cancel_free(cancel));
  OK(happy_session_free(session));
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: cycles MODEL COUNT MOST-KIB\n");
    return 2;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  int count = atoi(argv[2]);
  long most = atol(argv[3]), early = 0;
  for (int i = 0; i < count; i++) {
    cycle(argv[1], i);
    if (i == count / 10) {
      early = rss_anon_kib();
    }
    if ((i + 1) % (count / 10 > 0 ? count / 10 : 1) == 0) {
      printf("after %d cycles: RssAnon %ld KiB\n", i + 1, rss_anon_kib());
    }
  }
  long late = rss_anon_kib();
  printf("%d cycles: RssAnon %ld KiB after a tenth, %ld KiB at the end\n", count, early, late);
  CHECK(late - early <= most);
  return finish("cycles");
}
