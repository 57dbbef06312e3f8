"""Quantizes a file with the library of llama-cpp-python; prints the seconds that it took, and the CPU seconds.

usage: peer.py INPUT OUTPUT FILE_TYPE THREADS [TENSOR:COLUMNS ..]     (tensors with equal importance)
"""
import ctypes
import os
import sys
import time

import llama_cpp


class Importance(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("data", ctypes.POINTER(ctypes.c_float)), ("size", ctypes.c_size_t)]


source, target, file_type, threads = sys.argv[1:5]
tensors = [argument.rsplit(":", 1) for argument in sys.argv[5:]]
weights = [(ctypes.c_float * int(columns))(*[1.0] * int(columns)) for _, columns in tensors]
importance = (Importance * (len(tensors) + 1))()
for entry, (name, columns), data in zip(importance, tensors, weights):
    entry.name, entry.data, entry.size = name.encode(), data, int(columns)

silence = llama_cpp.llama_log_callback(lambda *_: None)
llama_cpp.llama_log_set(silence, None)
llama_cpp.llama_backend_init()
params = llama_cpp.llama_model_quantize_default_params()
params.ftype, params.nthread, params.pure = int(file_type), int(threads), True
if tensors:
    kind = dict(llama_cpp.llama_model_quantize_params._fields_)["imatrix"]
    params.imatrix = ctypes.cast(importance, kind)
began, cpu = time.monotonic(), time.process_time()
failed = llama_cpp.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(params))
print(time.monotonic() - began, time.process_time() - cpu)
sys.exit(failed)
