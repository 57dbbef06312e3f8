"""Chats with a model through libhappy by ctypes: push, pull, errors.

usage: chat.py LIBHAPPY MODEL QUESTION [EXPECTED [GRAMMAR]]
"""

import ctypes
import sys
from ctypes import POINTER, byref, c_char_p, c_float, c_int32, c_size_t, c_uint32, c_uint64, c_void_p

OK, INVALID_HANDLE, FILE = 0, 2, 5
TEXT, DONE = 1, 7


class Text(ctypes.Structure):
    _fields_ = [("data", c_char_p), ("len", c_size_t)]

    @classmethod
    def of(cls, text):
        data = text.encode()
        return cls(data, len(data))


class RawText(ctypes.Structure):
    """Text of the library: without a NUL, so the pointer must stay one."""

    _fields_ = [("data", c_void_p), ("len", c_size_t)]

    def __str__(self):
        return ctypes.string_at(self.data, self.len).decode() if self.len else ""


class SamplerOptions(ctypes.Structure):
    _fields_ = (
        [("size", c_uint32), ("top_k", c_uint32), ("seed", c_uint64), ("temperature", c_float)]
        # What follows the temperature is left as the library sets it.
        + [("rest", c_uint32 * 23), ("order", Text), ("pointers", c_void_p * 4)]
    )


class GenerateOptions(ctypes.Structure):
    _fields_ = [
        ("size", c_uint32),
        ("max_tokens", c_uint32),
        ("sampler", c_void_p),
        ("cancel", c_void_p),
        ("stop", POINTER(Text)),
        ("n_stop", c_size_t),
        ("grammar", Text),
        ("json_schema", Text),
        ("coalesce_ms", c_uint32),
        ("coalesce_bytes", c_uint32),
        ("raw", c_uint32),
        ("drop_cancelled", c_uint32),
        ("ignore_end", c_uint32),
        ("reserved", c_uint32),
    ]


class Event(ctypes.Structure):
    _fields_ = [
        ("size", c_uint32),
        ("kind", c_int32),
        ("finish", c_int32),
        ("call", c_int32),
        ("done", c_uint64),
        ("total", c_uint64),
        ("text", RawText),
        ("name", RawText),
        ("id", RawText),
    ]


ON_EVENT = ctypes.CFUNCTYPE(c_int32, c_void_p, POINTER(Event))


class Happy:
    """The library; a call that fails raises what it says."""

    def __init__(self, path):
        self.lib = ctypes.CDLL(path)
        self.lib.happy_error_message.restype = c_char_p
        self.lib.happy_error_message.argtypes = [c_void_p, c_void_p]
        self.lib.happy_error_free.argtypes = [c_void_p]
        self.lib.happy_live_handles.restype = c_size_t
        for name in ["session", "sampler", "model"]:
            getattr(self.lib, f"happy_{name}_free").argtypes = [c_void_p]

    def __call__(self, name, *arguments):
        error = c_void_p()
        status = getattr(self.lib, f"happy_{name}")(*arguments, byref(error))
        if status != OK:
            message = self.lib.happy_error_message(error, None).decode()
            self.lib.happy_error_free(error)
            raise RuntimeError(status, message)

    def free(self, name, handle):
        assert getattr(self.lib, f"happy_{name}_free")(handle) == OK


def text(said):
    data = said.encode()
    return data, c_size_t(len(data))


def main(library, path, question, expected=None, grammar=""):
    happy = Happy(library)
    model, session, sampler = c_void_p(), c_void_p(), c_void_p()
    try:
        happy("model_open_file", *text("/absent.gguf"), None, byref(model))
        raise AssertionError("a file that does not exist was opened")
    except RuntimeError as error:
        assert error.args[0] == FILE and "absent.gguf" in error.args[1], error
    happy("model_open_file", *text(path), None, byref(model))
    happy("session_new", model, None, byref(session))
    greedy = SamplerOptions()
    happy("sampler_options_init", byref(greedy), c_size_t(ctypes.sizeof(greedy)))
    assert greedy.top_k == 40 and greedy.order.len == 0
    greedy.temperature = 0
    happy("sampler_new", byref(greedy), byref(sampler))
    options = GenerateOptions()
    happy("generate_options_init", byref(options), c_size_t(ctypes.sizeof(options)))
    options.max_tokens, options.sampler, options.grammar = 24, sampler, Text.of(grammar)

    pushed = []

    @ON_EVENT
    def on_event(_, event):
        if event.contents.kind == TEXT:
            pushed.append(str(event.contents.text))
        return 1

    happy("chat", session, *text(question), byref(options), on_event, None, None)
    assert expected is None or expected == "".join(pushed), pushed

    happy("session_clear", session)
    pulled, event = [], Event(size=ctypes.sizeof(Event))
    happy("start", session, *text(question), byref(options))
    while event.kind != DONE:
        happy("next", session, byref(event))
        if event.kind == TEXT:
            pulled.append(str(event.text))
    assert "".join(pulled) == "".join(pushed), (pulled, pushed)

    for name, handle in [("session", session), ("sampler", sampler), ("model", model)]:
        happy.free(name, handle)
    assert happy.lib.happy_model_free(model) == INVALID_HANDLE
    assert happy.lib.happy_live_handles() == 0
    print("".join(pushed))


if not 4 <= len(sys.argv) <= 6:
    sys.exit(__doc__)
main(*sys.argv[1:])
