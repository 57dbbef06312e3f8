"""llama.cpp's tokenizer, asked line by line: `load PATH` and `encode TEXT IDS` (files) answer with the seconds of this thread."""

import ctypes
import sys
import time

from llama_cpp import __version__, llama_cpp


@llama_cpp.llama_log_callback
def quiet(_level, _text, _data):
    pass


llama_cpp.llama_log_set(quiet, None)
llama_cpp.llama_backend_init()
print(__version__, flush=True)
model = vocab = None
for line in sys.stdin:
    command, *paths = line.rstrip("\n").split("\t")
    if command == "load":
        if model is not None:
            llama_cpp.llama_model_free(model)
        params = llama_cpp.llama_model_default_params()
        params.vocab_only = True
        start = time.thread_time()
        model = llama_cpp.llama_model_load_from_file(paths[0].encode(), params)
        seconds = time.thread_time() - start
        vocab = llama_cpp.llama_model_get_vocab(model)
    else:
        with open(paths[0], "rb") as file:
            text = file.read()
        room = len(text) + 16
        ids = (ctypes.c_int32 * room)()
        start = time.thread_time()
        count = llama_cpp.llama_tokenize(vocab, text, len(text), ids, room, False, False)
        seconds = time.thread_time() - start
        with open(paths[1], "wb") as file:
            file.write(bytes(ids)[: 4 * max(count, 0)])
    print(seconds, flush=True)
