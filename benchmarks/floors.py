r"""What a step cannot avoid, and how long it takes alone.

For M samples, N weights, K learning rates, and one normal more for each label's noise:

| level | random numbers | flops of matrix products | numbers to and from memory |
|---|---|---|---|
| microscopic, float64 on the CPU | N + 3M | | 4N + 2NK, once they exceed the cache |
| microscopic, from samples | MN + M | 2MN(1 + 2K) | 3MN + N + 2NK, once they exceed the cache |
| mesoscopic | 3M, χ²(N−2) | | |
| offline | | 4MNK | |

Each part is a loop that does nothing else, timed in the same process in turns with ours: NumPy's
PCG64 in a compiled loop that fills a small buffer (the fastest well-kept source of normals that we
know), NumPy's products of the same shapes and type, a copy of a large array. On a GPU the normals
are those of cuRAND, the products those of cuBLAS, and for the chain a kernel of the package's own
numbers that only draws: its law needs a gamma variate of each step, which no library draws there.
The largest of the parts is the floor: a machine that draws while it multiplies could not be faster.
A macroscopic trajectory has as its floor the evaluations of its compiled flow that LSODA asks for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numba
import numpy as np
import scipy.linalg  # noqa: F401 (the BLAS of compiled products, to limit its threads)
from timing import Work

import statmech_bn as sbn
from statmech_bn.arrays import namespace
from statmech_bn.random.device import SOURCE

BUFFER = 2**15
"""So many normals are drawn at a time; they stay in the cache."""
CACHE = 2**21
"""Arrays of more bytes than this are in no cache."""
COPIED = 2**23
"""An array of so many numbers is in no cache; a copy reads and writes them."""
DRAWN_ON_GPU = 2**26
STACK = 64
"""A GPU computes the products of so many replicas together."""
DRAWING = 2**20, 128
"""Threads of the kernel that only draws, and those of a block."""
ONLY_DRAWS = r"""
/* What steps of the chain draw, each thread for a replica of its own. */
extern "C" __global__ void only_draws(
    unsigned int key0, unsigned int key1, double shape, int batch_size, int steps, double* sums
) {
    const unsigned int replica = blockIdx.x * blockDim.x + threadIdx.x;
    Stream stream = {{key0, key1}, replica, 0};
    double sum = 0.0, first, second;
    for (int step = 0; step < steps; ++step) {
        stream.step = step;
        for (int m = 0; m < batch_size; ++m) {
            normals(draw(stream, FIELDS, m), &first, &second);
            sum += first + second;
        }
        for (int m = 0; m < batch_size; m += 2) {
            normals(draw(stream, LABELS, m / 2), &first, &second);
            sum += first + second;
        }
        sum += standard_gamma(stream, shape);
    }
    sums[replica] = sum;
}
"""


@dataclass(frozen=True)
class Case:
    """One row: a level, a student, and its sizes."""

    level: str
    activation: str = "relu"
    normalization: str = "weight"
    N: int = 1000
    M: int = 32
    rates: int = 1
    replicas: int = 1
    dtype: str = "float64"
    device: str = "cpu"

    @property
    def setup(self) -> sbn.TeacherStudent:
        """Make the student."""
        return sbn.TeacherStudent(self.activation, self.normalization, self.M, label_noise=0.5)


@dataclass(frozen=True)
class Loop:
    """One thing that a step needs: a loop that does it, for so many steps of one replica."""

    work: Work
    steps: float


def parts(case: Case) -> dict[str, Loop]:
    """Return the parts of the floor of a step."""
    if case.level == "mesoscopic":
        return {"random numbers": _chain_draws(case)}
    samples, weights = case.M * case.N, case.N * case.rates
    if case.device == "cpu" and case.dtype == "float64":
        found = {"random numbers": _draws(case, case.N + 3 * case.M)}
        if 8 * (3 * case.N + weights) > CACHE:
            found["memory"] = _copy(case, 4 * case.N + 2 * weights)
        return found
    found = {"random numbers": _draws(case, samples), "products": _products(case)}
    if np.dtype(case.dtype).itemsize * (samples + 2 * weights) > CACHE:
        found["memory"] = _copy(case, 3 * samples + case.N + 2 * weights)
    return found


@numba.njit(nogil=True)
def draw_chain(generator, batch_size, dimension, steps, buffer):
    """Draw what the chain draws."""
    for _ in range(steps):
        for i in range(3 * batch_size):
            buffer[i] = generator.standard_normal()
        buffer[-1] = generator.standard_gamma(0.5 * (dimension - 2.0))


def _chain_draws(case: Case) -> Loop:
    if case.device == "cuda":
        return _chain_draws_on_gpu(case)
    buffer, steps = np.empty(3 * case.M + 1), 1 + 500_000 // case.M
    return Loop(partial(draw_chain, _generator(), case.M, float(case.N), steps, buffer), steps)


def _chain_draws_on_gpu(case: Case) -> Loop:
    library, (threads, of_block) = namespace("cuda"), DRAWING
    module = library.RawModule(code=SOURCE + ONLY_DRAWS, options=("--std=c++17",))
    kernel, sums = module.get_function("only_draws"), library.empty(threads)
    steps, key, shape = 1 + 4096 // case.M, np.uint32(7), 0.5 * (case.N - 2.0)
    arguments = (key, key, shape, np.int32(case.M), np.int32(steps), sums)
    work = partial(kernel, (threads // of_block,), (of_block,), arguments)
    return Loop(finished(work), steps * threads)


def _draws(case: Case, needed: int) -> Loop:
    if case.device == "cuda":
        normals = namespace("cuda").random.standard_normal
        return Loop(finished(partial(normals, DRAWN_ON_GPU, case.dtype)), DRAWN_ON_GPU / needed)
    buffer = np.empty(BUFFER)
    return Loop(partial(draw, _generator(), buffer, 20), 20 * BUFFER / needed)


@numba.njit(nogil=True)
def draw(generator, buffer, times):
    """Fill a small buffer again and again."""
    for _ in range(times):
        for i in range(buffer.size):
            buffer[i] = generator.standard_normal()


def _generator() -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(0))


def _products(case: Case) -> Loop:
    """Time the products of samples with teacher and weights, and of the errors with samples."""
    library, each = namespace(case.device), case.M * case.N * (1 + 2 * case.rates)
    if case.device == "cuda":
        stack: tuple[int, ...] = (min(case.replicas, STACK),)
        columns: tuple[int, ...] = (case.rates,)
        times = 1 + 10**10 // (each * stack[0])
    else:
        columns = (case.rates,) if case.rates > 1 else ()
        stack, times = (), 1 + 10**8 // each
    shapes = (
        (case.M, case.N), (case.N, *columns), (case.M, *columns), (case.N, *columns),
    )  # fmt: skip
    x, weights, fields, pushed = (library.ones((*stack, *shape), case.dtype) for shape in shapes)
    teacher, labels = library.ones(case.N, case.dtype), library.ones((*stack, case.M), case.dtype)

    if case.device == "cpu":
        arguments = (x, teacher, weights, labels, fields, pushed, times)
        return Loop(partial(multiply, *arguments), times)

    def work() -> None:
        for _ in range(times):
            library.matmul(x, teacher, out=labels)
            library.matmul(x, weights, out=fields)
            library.matmul(x.swapaxes(-1, -2), fields, out=pushed)

    return Loop(finished(work), times * stack[0])


@numba.njit(nogil=True)
def multiply(x, teacher, weights, labels, fields, pushed, times):
    """Call the products of BLAS; into arrays that are there, as new ones would cost page faults."""
    for _ in range(times):
        np.dot(x, teacher, labels)
        np.dot(x, weights, fields)
        np.dot(x.T, fields, pushed)


def _copy(case: Case, needed: int) -> Loop:
    library = namespace(case.device)
    source = library.ones(COPIED, case.dtype)
    work = partial(library.copyto, library.empty_like(source), source)
    return Loop(finished(work) if case.device == "cuda" else work, 2 * COPIED / needed)


def finished(work: Work) -> Work:
    """Let work on a GPU end when the GPU has done it, not when it was asked to."""

    def until_done() -> None:
        work()
        namespace("cuda").cuda.get_current_stream().synchronize()

    return until_done
