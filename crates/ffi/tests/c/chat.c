/* Asks a model a question and prints the answer as it comes.
 *
 * usage: chat MODEL QUESTION [MOST-TOKENS]
 */
#include "happy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int32_t show(void *user, const HappyEvent *event) {
  (void)user;
  if (event->kind == HAPPY_EVENT_TEXT) {
    fwrite(event->text.data, 1, event->text.len, stdout);
    fflush(stdout);
  }
  return 1;
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: chat MODEL QUESTION [MOST-TOKENS]\n");
    return 2;
  }
  HappyModel *model = NULL;
  HappySession *session = NULL;
  HappySampler *sampler = NULL;
  HappyError *error = NULL;
  HappySamplerOptions greedy;
  HappyGenerateOptions options;
  HappyFinish finish = {.size = sizeof finish};
  happy_sampler_options_init(&greedy, sizeof greedy, NULL);
  greedy.temperature = 0;
  happy_generate_options_init(&options, sizeof options, NULL);
  options.max_tokens = argc > 3 ? (uint32_t)atoi(argv[3]) : 0;
  options.coalesce_ms = 50;

  HappyStatus status = happy_model_open_file(argv[1], strlen(argv[1]), NULL, &model, &error);
  if (status == HAPPY_OK) {
    status = happy_session_new(model, NULL, &session, &error);
  }
  if (status == HAPPY_OK) {
    status = happy_sampler_new(&greedy, &sampler, &error);
  }
  if (status == HAPPY_OK) {
    options.sampler = sampler;
    status = happy_chat(session, argv[2], strlen(argv[2]), &options, show, NULL, &finish, &error);
  }
  if (status == HAPPY_OK) {
    printf("\n");
    fprintf(stderr, "%llu tokens of the prompt at %.1f/s, %llu generated at %.1f/s\n",
            (unsigned long long)finish.prompt_tokens, finish.prefill_rate,
            (unsigned long long)finish.generated_tokens, finish.decode_rate);
  } else {
    fprintf(stderr, "error %d: %s\n", (int)status, happy_error_message(error, NULL));
  }
  happy_error_free(error);
  happy_sampler_free(sampler);
  happy_session_free(session);
  happy_model_free(model);
  return status != HAPPY_OK || happy_live_handles() != 0;
}
