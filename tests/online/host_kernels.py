"""CuPy's elementwise kernels, compiled by a C++ compiler for NumPy's arrays.

Only what the package asks of CuPy: it shows that the CUDA source is right without a GPU.
"""

import ctypes
import subprocess
import tempfile
from pathlib import Path

import numpy as np

SHIM = """
#include <cmath>
using namespace std;
#define __host__
#define __device__
inline void sincospi(double x, double* sine, double* cosine)
{ *sine = sin(M_PI*x); *cosine = cos(M_PI*x); }
typedef unsigned int uint32; typedef long int64; typedef double float64; typedef float float32;
"""


class HostKernels:
    """Stands for the module: NumPy with the name of CuPy, and its kernels."""

    __name__, __version__ = "cupy", "on the host"

    def __getattr__(self, name):
        return getattr(np, name)

    def ElementwiseKernel(self, inputs, outputs, body, name, preamble="", return_tuple=False):  # noqa: N802
        return Kernel(inputs, outputs, body, preamble, return_tuple)


class Kernel:
    def __init__(self, inputs, outputs, body, preamble, return_tuple):
        self.inputs = [part.split() for part in inputs.split(",")]
        self.outputs = [part.split() for part in outputs.split(",")]
        self.body, self.preamble, self.return_tuple = body, preamble, return_tuple
        self.compiled = {}

    def __call__(self, *values, size=None):
        given, raw = values[: len(self.inputs)], self.outputs[0][0] == "raw"
        assert len(values) == len(self.inputs) + raw
        for (kind, name), value in zip(self.inputs, given, strict=True):
            # as CuPy has it: arrays of the declared type, numbers of any
            assert not isinstance(value, np.ndarray) or value.dtype == kind, name
            assert not (raw and isinstance(value, np.ndarray)), name
        if raw:
            results, count = [values[-1]], size
            assert values[-1].flags.c_contiguous
        else:
            shape = np.broadcast_shapes(*map(np.shape, given))
            results, count = [np.empty(shape, kind) for kind, _ in self.outputs], np.prod(shape)
            given = [np.broadcast_to(value, shape) for value in given]
        given = [
            np.ascontiguousarray(value, kind)
            for (kind, _), value in zip(self.inputs, given, strict=True)
        ]
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in (*given, *results)]
        self.function(str(results[0].dtype), raw)(ctypes.c_long(int(count)), *pointers)
        return tuple(results) if self.return_tuple or len(results) > 1 else results[0]

    def function(self, kind, raw):
        if kind not in self.compiled:
            place = "0" if raw else "i"
            reads = "".join(f"const {k} {n} = in_{n}[{place}];" for k, n in self.inputs)
            outputs = [(kind if raw else part[0], part[-1]) for part in self.outputs]
            stores = "" if raw else "".join(f"{k} &{n} = out_{n}[i];" for k, n in outputs)
            parameters = [f"const {k}* in_{n}" for k, n in self.inputs]
            parameters += [f"{k}* {n if raw else 'out_' + n}" for k, n in outputs]
            self.compiled[kind] = compile_host(
                f'{SHIM}{self.preamble}\nextern "C" void run(long size, {", ".join(parameters)}) {{'
                f"for (long i = 0; i < size; ++i) {{ {reads} {stores} {self.body} }} }}"
            )
        return self.compiled[kind]


def compile_host(source):
    folder = Path(tempfile.mkdtemp())
    (folder / "kernel.cpp").write_text(source)
    command = ["g++", "-shared", "-fPIC", "-o", folder / "kernel.so", folder / "kernel.cpp"]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(folder / "kernel.so")).run
