/* What the C tests share: checks that say where they failed, and calls that must succeed or fail in a certain way. */
#ifndef COMMON_H
#define COMMON_H

#include "happy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures = 0;

#define CHECK(condition)                                                              \
  do {                                                                                \
    if (!(condition)) {                                                               \
      fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);       \
      failures++;                                                                     \
    }                                                                                 \
  } while (0)

/* The call must succeed; it takes `&error` as its last argument. */
#define OK(call) expect(HAPPY_OK, "", (call), __FILE__, __LINE__)
/* The call must give this status, and a message that contains this text. */
#define FAILS(status, part, call) expect(status, part, (call), __FILE__, __LINE__)

static HappyError *error = NULL;

static void expect(HappyStatus wanted, const char *part, HappyStatus found, const char *file, int line) {
  size_t len = 0;
  const char *message = happy_error_message(error, &len);
  if (found != wanted || (wanted == HAPPY_OK) != (error == NULL) || strstr(message, part) == NULL ||
      strlen(message) != len || (error != NULL && happy_error_status(error) != found)) {
    fprintf(stderr, "%s:%d: status %d, \"%s\"; expected %d, \"%s\"\n", file, line, (int)found, message,
            (int)wanted, part);
    failures++;
  }
  happy_error_free(error);
  error = NULL;
}

/* Text as pointer and length arguments. */
#define TEXT(text) (text), strlen(text)

static inline HappyText text_of(const char *text) {
  HappyText view = {text, strlen(text)};
  return view;
}

/* What a turn brought. */
typedef struct {
  char text[1 << 16];
  size_t len;
  int events, texts, prefills, reasonings, starts, arguments, calls, malformed, dones;
  int finish;
  int stop_after; /* texts until the callback says stop; 0: never */
  char name[256];
  char call_arguments[4096];
  HappySession *session; /* for calls from within the callback */
} Heard;

static inline void append(Heard *heard, HappyText text) {
  if (heard->len + text.len < sizeof heard->text) {
    memcpy(heard->text + heard->len, text.data, text.len);
    heard->len += text.len;
    heard->text[heard->len] = 0;
  }
}

static inline int32_t on_event(void *user, const HappyEvent *event) {
  Heard *heard = (Heard *)user;
  heard->events++;
  switch (event->kind) {
  case HAPPY_EVENT_PREFILL:
    heard->prefills++;
    CHECK(event->done <= event->total && event->total > 0);
    break;
  case HAPPY_EVENT_TEXT:
    heard->texts++;
    CHECK(event->text.len > 0);
    append(heard, event->text);
    break;
  case HAPPY_EVENT_REASONING:
    heard->reasonings++;
    break;
  case HAPPY_EVENT_TOOL_CALL_START:
    heard->starts++;
    break;
  case HAPPY_EVENT_TOOL_CALL_ARGUMENTS:
    heard->arguments++;
    break;
  case HAPPY_EVENT_TOOL_CALL:
    heard->calls++;
    snprintf(heard->name, sizeof heard->name, "%.*s", (int)event->name.len, event->name.data);
    snprintf(heard->call_arguments, sizeof heard->call_arguments, "%.*s", (int)event->text.len, event->text.data);
    break;
  case HAPPY_EVENT_MALFORMED_CALL:
    heard->malformed++;
    break;
  case HAPPY_EVENT_DONE:
    heard->dones++;
    heard->finish = event->finish;
    break;
  default:
    CHECK(!"an event of a known kind");
  }
  return heard->stop_after == 0 || heard->texts < heard->stop_after;
}

static inline int finish(const char *name) {
  if (happy_live_handles() != 0) {
    fprintf(stderr, "%s: %zu handles were not freed\n", name, happy_live_handles());
    failures++;
  }
  printf("%s: %s\n", name, failures == 0 ? "passed" : "FAILED");
  return failures != 0;
}

#endif
