"""Unmodified clients from PyPI against a running server: python clients.py http://127.0.0.1:PORT MODEL"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import anthropic
import langchain_openai
import ollama
import openai

BASE, MODEL = sys.argv[1], sys.argv[2]
QUESTION = [{"role": "user", "content": "Name a color."}]
SCHEMA = {
    "type": "object",
    "properties": {"color": {"type": "string", "enum": ["red", "green", "blue"]}},
    "required": ["color"],
    "additionalProperties": False,
}


def check(condition, *found):
    if not condition:
        raise AssertionError(found)


def openai_client():
    return openai.OpenAI(base_url=BASE + "/v1", api_key="none", max_retries=0)


def openai_chat():
    client = openai_client()
    whole = client.chat.completions.create(
        model=MODEL, messages=QUESTION, max_tokens=24, seed=7, logprobs=True, top_logprobs=2
    )
    choice = whole.choices[0]
    check(choice.finish_reason in ("stop", "length"), choice)
    check(len(choice.logprobs.content) == whole.usage.completion_tokens, whole)
    check(len(choice.logprobs.content[0].top_logprobs) == 2, choice)
    text, usage = "", None
    stream = client.chat.completions.create(
        model=MODEL, messages=QUESTION, max_tokens=24, seed=7, stream=True, stream_options={"include_usage": True}
    )
    for chunk in stream:
        text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        usage = chunk.usage or usage
    check(text == choice.message.content, text, choice)
    check(usage.completion_tokens == whole.usage.completion_tokens, usage)
    check(usage.prompt_tokens_details.cached_tokens > 0, usage)


def openai_completions():
    answer = openai_client().completions.create(model=MODEL, prompt="Once upon a", max_tokens=8, n=2, seed=1)
    check(len(answer.choices) == 2 and answer.usage.completion_tokens <= 16, answer)


def openai_json_schema():
    answer = openai_client().chat.completions.create(
        model=MODEL,
        messages=QUESTION,
        response_format={"type": "json_schema", "json_schema": {"name": "color", "schema": SCHEMA, "strict": True}},
    )
    check(json.loads(answer.choices[0].message.content)["color"] in ("red", "green", "blue"), answer)


def openai_responses():
    client = openai_client()
    answer = client.responses.create(
        model=MODEL, input="Name a color.", instructions="Be brief.", max_output_tokens=16, temperature=0
    )
    check(answer.output_text and answer.usage.output_tokens <= 16, answer)
    with client.responses.stream(
        model=MODEL, input="Name a color.", instructions="Be brief.", max_output_tokens=16, temperature=0
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    check(kinds[0] == "response.created" and "response.output_text.delta" in kinds, kinds)
    check(final.output_text == answer.output_text, final, answer)


def openai_embeddings():
    answer = openai_client().embeddings.create(model=MODEL, input=["a cat", "a kitten", "the stock market"])
    vectors = [one.embedding for one in answer.data]
    cosine = lambda a, b: sum(x * y for x, y in zip(a, b))
    check(cosine(vectors[0], vectors[1]) > cosine(vectors[0], vectors[2]), "cosines")


def openai_errors():
    client = openai_client()
    try:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "word " * 100_000}])
    except openai.BadRequestError as error:
        check(error.code == "context_length_exceeded", error)
    else:
        raise AssertionError("a prompt that does not fit was taken")
    try:
        client.chat.completions.create(model="no-such-model", messages=QUESTION)
    except openai.NotFoundError as error:
        check(error.code == "model_not_found", error)
    else:
        raise AssertionError("a model that is not there was taken")
    check([model.id for model in client.models.list()] == [MODEL], "models")


def anthropic_messages():
    client = anthropic.Anthropic(base_url=BASE, api_key="none", max_retries=0)
    whole = client.messages.create(
        model=MODEL, max_tokens=16, system="Be brief.", messages=QUESTION, extra_body={"temperature": 0}
    )
    check(whole.content[0].type == "text" and whole.stop_reason in ("end_turn", "max_tokens"), whole)
    with client.messages.stream(
        model=MODEL, max_tokens=16, system="Be brief.", messages=QUESTION, extra_body={"temperature": 0}
    ) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    check(text == whole.content[0].text and final.stop_reason == whole.stop_reason, text, whole)
    count = client.messages.count_tokens(model=MODEL, system="Be brief.", messages=QUESTION)
    cached = whole.usage.cache_read_input_tokens
    check(count.input_tokens == whole.usage.input_tokens + cached, count, whole)


def ollama_chat():
    client = ollama.Client(host=BASE)
    options = {"temperature": 0, "num_predict": 16}
    whole = client.chat(model=MODEL, messages=QUESTION, options=options)
    parts = client.chat(model=MODEL, messages=QUESTION, options=options, stream=True)
    check("".join(part.message.content for part in parts) == whole.message.content, whole)
    check(whole.done and whole.eval_count <= 16 and whole.prompt_eval_count > 0, whole)
    answer = client.generate(model=MODEL, prompt="Name a color.", format=SCHEMA, options=options)
    check(json.loads(answer.response)["color"] in ("red", "green", "blue"), answer)
    check(len(client.embed(model=MODEL, input=["a", "b"]).embeddings) == 2, "embeddings")
    check([model.model for model in client.list().models] == [MODEL], client.list())
    check("completion" in client.show(MODEL).capabilities, client.show(MODEL))


def langchain():
    model = langchain_openai.ChatOpenAI(
        model=MODEL, base_url=BASE + "/v1", api_key="none", temperature=0, max_tokens=16, max_retries=0
    )
    whole = model.invoke("Name a color.")
    check(whole.usage_metadata["output_tokens"] <= 16, whole)
    check("".join(chunk.text if isinstance(chunk.text, str) else chunk.text() for chunk in model.stream("Name a color.")) == whole.content, whole)


def litellm_completion():
    import litellm

    ask = dict(model="openai/" + MODEL, messages=QUESTION, api_base=BASE + "/v1", api_key="none", max_tokens=16, temperature=0)
    whole = litellm.completion(**ask)
    parts = litellm.completion(**ask, stream=True)
    text = "".join(part.choices[0].delta.content or "" for part in parts)
    check(text == whole.choices[0].message.content, text, whole)
    native = litellm.completion(
        model="ollama_chat/" + MODEL, messages=QUESTION, api_base=BASE, max_tokens=16, temperature=0
    )
    check(native.choices[0].message.content == text, native, text)


def llm_cli():
    # The program's own plugin for OpenAI, told of the server by its configuration.
    with tempfile.TemporaryDirectory() as folder:
        model = {"model_id": "happy", "model_name": MODEL, "api_base": BASE + "/v1"}
        pathlib.Path(folder, "extra-openai-models.yaml").write_text(json.dumps([model]))
        ask = [sys.executable, "-m", "llm", "-m", "happy", "-o", "temperature", "0", "-o", "max_tokens", "16", "Name a color."]
        run = lambda more: subprocess.run(
            ask + more, env={**os.environ, "LLM_USER_PATH": folder}, capture_output=True, text=True, check=True, timeout=120
        )
        streamed, whole = run(["--no-log"]), run(["--no-log", "--no-stream"])
        check(streamed.stdout.strip() and streamed.stdout == whole.stdout, streamed, whole)


def curl():
    def run(path, *more):
        done = subprocess.run(["curl", "-sS", "--fail-with-body", BASE + path, *more], capture_output=True, text=True, timeout=120)
        check(done.returncode == 0, done)
        return done.stdout

    body = json.dumps({"model": MODEL, "messages": QUESTION, "max_tokens": 16, "temperature": 0})
    post = ["-H", "Content-Type: application/json", "-d"]
    whole = json.loads(run("/v1/chat/completions", *post, body))
    stream = run("/v1/chat/completions", "-N", *post, json.dumps({**json.loads(body), "stream": True}))
    chunks = [line[6:] for line in stream.splitlines() if line.startswith("data: ")]
    check(chunks[-1] == "[DONE]", stream)
    text = "".join(json.loads(chunk)["choices"][0]["delta"].get("content") or "" for chunk in chunks[:-1])
    check(text == whole["choices"][0]["message"]["content"], text, whole)
    check("happy_answers_total" in run("/metrics"), "metrics")
    check(json.loads(run("/v1/models"))["data"][0]["id"] == MODEL, "models")


TESTS = [
    openai_chat,
    openai_completions,
    openai_json_schema,
    openai_responses,
    openai_embeddings,
    openai_errors,
    anthropic_messages,
    ollama_chat,
    langchain,
    litellm_completion,
    llm_cli,
    curl,
]

failed = 0
for test in TESTS:
    try:
        test()
        print("ok    ", test.__name__, flush=True)
    except Exception as error:
        failed += 1
        print("FAILED", test.__name__, type(error).__name__, str(error)[:2000], flush=True)
sys.exit(1 if failed else 0)
