"""The chain's CUDA kernels, compiled for the host: what CuPy does for them, by a C++ compiler."""

import ctypes
import hashlib
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

SHIM = Path(__file__).with_name("cuda_on_host.hpp")


def compiled(text, folder):
    """Compile CUDA source with g++, once for each text."""
    name = hashlib.sha256(text.encode()).hexdigest()
    library = folder / f"{name}.so"
    if not library.exists():
        source = folder / f"{name}.cpp"
        source.write_text(f'#include "{SHIM}"\n{text}')
        command = ["g++", "-std=c++20", "-O1", "-shared", "-fPIC", "-o", library, source]
        subprocess.run(command, check=True)
    return ctypes.CDLL(str(library))


needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="no CUDA compiler")


def compile_for_the_device(sources, folder):
    """Compile kernels, each in its own namespace, with one call of nvcc."""
    text = "".join(
        f"namespace kernel{i} {{\n{source}\n}}\n".replace('extern "C" ', "")
        for i, source in enumerate(sources)
    )
    # Code compiled at run time knows the mathematical functions but none of C's macros.
    for macro in ("M_PI", "M_E", "M_SQRT", "M_LN", "INFINITY", "NAN", "HUGE_VAL"):
        assert macro not in text
    (folder / "kernels.cu").write_text(text)
    options = ["--std=c++17", "-cubin", "-arch=sm_90", "-Xcicc", "-O1", "-o", "kernels.cubin"]
    subprocess.run(["nvcc", *options, "kernels.cu"], check=True, cwd=folder)


class HostCuPy:
    """Does what CuPy does for the kernel, with NumPy and a C++ compiler."""

    def __init__(self, folder):
        self.folder = folder

    def __getattr__(self, name):
        return getattr(np, name)

    def RawModule(self, code, options):  # noqa: N802
        launcher = (
            'extern "C" void launch(unsigned int blocks, unsigned int threads, void** pointers) '
            "{ launch_on_host(simulate, LANES, blocks, threads, pointers); }"
        )
        library = compiled(code + launcher, self.folder)

        def kernel(grid, block, arguments):
            values = [
                np.array(a.ctypes.data if isinstance(a, np.ndarray) else a) for a in arguments
            ]
            pointers = (ctypes.c_void_p * len(values))(*(a.ctypes.data for a in values))
            library.launch(grid[0], block[0], pointers)

        return SimpleNamespace(get_function=lambda name: kernel)
