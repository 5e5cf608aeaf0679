"""The chain's CUDA kernel, compiled for the host: its numbers, its law, its independence of layout.

Where there is a GPU, `pytest -m gpu` does the same on it.
"""

import ctypes
import itertools
import shutil
import sys
from importlib.resources import files

import numpy as np
import pytest
import sympy as sp
import xarray as xr
from host_cupy import compile_for_the_device, compiled, needs_nvcc
from scipy import stats

import statmech_bn as sbn
from statmech_bn.activations import NAMED
from statmech_bn.errors import InvalidSetup, NoDevice
from statmech_bn.online.chain import cuda

pytestmark = pytest.mark.thorough

x = sp.Symbol("x")
START = sbn.OrderParameters(0.3, 0.9, 0.8)
SMALLEST_P = 1e-5  # over about 150 comparisons with fixed seeds


@pytest.fixture(scope="module")
def numbers(folder):
    """The functions of random_numbers.cu."""
    if shutil.which("g++") is None:
        pytest.skip("no C++ compiler")
    source = (files("statmech_bn.random") / "random_numbers.cu").read_text()
    return compiled(
        source
        + """
extern "C" void philox_words(unsigned int* counter, unsigned int* key, unsigned int* out) {
    const Words words = philox({{counter[0], counter[1], counter[2], counter[3]}}, key[0], key[1]);
    for (int i = 0; i < 4; ++i) out[i] = words.word[i];
}
extern "C" void fill_normals(long long steps, double* out) {
    for (long long i = 0; i < steps; ++i)
        normals(draw({{7, 8}, 3, i + (1ull << 40)}, FIELDS, 5), out + 2 * i, out + 2 * i + 1);
}
extern "C" void fill_gamma(double shape, long long steps, double* out) {
    for (long long i = 0; i < steps; ++i) out[i] = standard_gamma({{7, 8}, 4, i}, shape);
}
""",
        folder,
    )


def address(array):
    return array.ctypes.data_as(ctypes.c_void_p)


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000",
         "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
         "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
         "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)  # fmt: skip
def test_philox_gives_the_published_words(numbers, counter, key, words):
    """Known answers of Random123 (Salmon et al. 2011)."""
    given = [np.array([int(w, 16) for w in text.split()], np.uint32) for text in (counter, key)]
    found = np.empty(4, np.uint32)
    numbers.philox_words(*map(address, given), address(found))
    assert " ".join(f"{word:08x}" for word in found) == words


def test_normals_are_normal(numbers):
    found = np.empty((200_000, 2))
    numbers.fill_normals(ctypes.c_longlong(len(found)), address(found))
    assert stats.kstest(found.ravel(), "norm").pvalue > 0.001
    error = 1 / np.sqrt(len(found))
    assert abs(np.corrcoef(found.T)[0, 1]) < 4 * error
    assert abs(np.corrcoef(found.T**2)[0, 1]) < 4 * error
    assert abs(np.corrcoef(found[1:, 0], found[:-1, 0])[0, 1]) < 4 * error
    assert abs((found**4).mean() - 3) < 4 * np.sqrt(96 / found.size)


@pytest.mark.parametrize("shape", [0.5, 1.0, 1.5, 24.0, 499_999.0, 5e11])
def test_gamma_draws_have_their_law(numbers, shape):
    found = np.empty(100_000)
    numbers.fill_gamma(ctypes.c_double(shape), ctypes.c_longlong(found.size), address(found))
    # the law of a gamma variable of shape 5e11 is normal to 1e-6
    law = stats.gamma(shape) if shape < 1e9 else stats.norm(shape, np.sqrt(shape))
    assert stats.kstest(found, law.cdf).pvalue > 0.001
    assert abs(found.mean() - shape) < 4 * np.sqrt(shape / found.size)


def setup_with_everything(normalization, activation, batch_size):
    decay = 0.0 if normalization == "none" else 0.05
    return sbn.TeacherStudent(
        activation, normalization, batch_size, 0.3, gamma_decay=decay, weight_decay=0.1
    )


def smallest_p(first, second):
    """The smallest p-value of means (Welch), spreads (Brown-Forsythe) and laws (KS)."""
    found = []
    for name in ("overlap", "length", "gamma"):
        a, b = (dataset[name].values[0, :, -1] for dataset in (first, second))
        if np.ptp(a) == np.ptp(b) == 0:
            found.append(float(a[0] == b[0]))
            continue
        found += [
            stats.ttest_ind(a, b, equal_var=False).pvalue,
            stats.levene(a, b, center="median").pvalue,
            stats.ks_2samp(a, b).pvalue,
        ]
    return min(found)


@pytest.mark.parametrize(
    ("normalization", "batch_size", "dimension", "activation"),
    [
        ("none", 1, 3, "linear"),
        ("none", 3, 50, "relu"),
        ("none", 32, 10**6, "erf"),
        ("weight", 1, 50, "softplus"),
        ("weight", 32, 3, "tanh"),
        ("weight", 3, 10**6, "relu"),
        ("population", 3, 10, "erf"),
        ("batch", 3, 20, "linear"),
        ("batch", 8, 3, sp.Max(x, x / 5) + sp.sin(x) / 3),
        ("batch", 32, 20, "erf"),
        ("batch", 5, 10**6, "relu"),
        ("ghost(4)", 12, 20, "relu"),
        ("ghost(3)", 27, 10, "erf"),
    ],
)
@pytest.mark.usefixtures("device")
def test_kernel_and_chain_have_the_same_law(normalization, batch_size, dimension, activation):
    setup = setup_with_everything(normalization, activation, batch_size)
    start = START if normalization != "none" else sbn.OrderParameters(0.3, 0.9)
    run = {"learning_rate": 0.8, "time": [min(2.0, 640 / (batch_size * dimension))], "start": start}
    kernel = sbn.mesoscopic(setup, dimension=dimension, replicas=1500, device="cuda", **run)
    chain = sbn.mesoscopic(setup, dimension=dimension, replicas=3000, seed=1, **run)
    assert smallest_p(kernel, chain) > SMALLEST_P


@pytest.mark.usefixtures("device")
def test_a_slightly_wrong_chain_is_noticed():
    """The comparison above has the power to tell N = 10 from N = 12."""
    setup = setup_with_everything("batch", "relu", 5)
    wrong = sbn.mesoscopic(setup, 0.8, [20 / 12], START, 12, replicas=2000, device="cuda")
    right = sbn.mesoscopic(setup, 0.8, [2.0], START, 10, replicas=6000)
    assert smallest_p(wrong, right) < SMALLEST_P


@pytest.mark.parametrize(
    ("normalization", "batch_size", "lanes"),
    [("none", 7, 4), ("weight", 32, 8), ("batch", 7, 2), ("batch", 32, 32), ("ghost(3)", 21, 8)],
)
def test_lanes_share_a_replica_without_trace(device, monkeypatch, normalization, batch_size, lanes):
    """Sums in another order: equal to rounding, amplified by a few steps of a stable chain."""
    setup = setup_with_everything(normalization, "tanh", batch_size)
    run = {"time": [0.0, 0.5, 2.0], "dimension": 20, "replicas": 33, "device": "cuda"}
    start = START if normalization != "none" else sbn.OrderParameters(0.3, 0.9)
    found = []
    for width in (1, lanes):
        monkeypatch.setattr(cuda, "lanes", lambda batch_size, width=width: width)
        found.append(sbn.mesoscopic(setup, [0.5, 2.0], start=start, **run))
    xr.testing.assert_allclose(*found, rtol=1e-12, atol=1e-14)


@pytest.mark.usefixtures("device")
def test_results_do_not_depend_on_layout_or_company(monkeypatch):
    launches, fill_factors = [], cuda.fill_factors

    def counted(*arguments):
        launches.append(arguments)
        fill_factors(*arguments)

    monkeypatch.setattr(cuda, "fill_factors", counted)
    setup = setup_with_everything("batch", "erf", 5)
    time = [0.0, 0.01, 0.02, 1.0, 3.0]  # the first three within one step
    run = {"time": time, "start": START, "dimension": 30, "seed": 2**70, "device": "cuda"}
    plain = sbn.mesoscopic(setup, [0.5, 2.0, 3.0], replicas=7, **run)
    assert len(launches) == 1
    monkeypatch.setattr(cuda, "THREADS_AT_ONCE", 20)
    monkeypatch.setattr(cuda, "STEPS_OF_LAUNCH", 13)
    monkeypatch.setattr(cuda, "NUMBERS_OF_RECORDS", 150)
    xr.testing.assert_identical(plain, sbn.mesoscopic(setup, [0.5, 2.0, 3.0], replicas=7, **run))
    assert len(launches) > 8
    fewer = sbn.mesoscopic(setup, [2.0], replicas=3, **run)
    xr.testing.assert_identical(
        plain.isel(replica=slice(0, 3), learning_rate=[1]).drop_vars("learning_rate"),
        fewer.drop_vars("learning_rate"),
    )
    other = sbn.mesoscopic(setup, [0.5, 2.0, 3.0], replicas=7, **{**run, "seed": 6})
    assert not np.allclose(plain.overlap[:, :, -1], other.overlap[:, :, -1])
    assert plain.attrs["array_library"].startswith("cupy")


@pytest.mark.usefixtures("device")
def test_schedules_multiply_the_learning_rates():
    setup = setup_with_everything("weight", "linear", 3)
    run = {"time": [0.5, 2.0], "start": START, "dimension": 20, "replicas": 5, "device": "cuda"}
    half = sbn.mesoscopic(setup, 2.0, schedule=sbn.schedules.constant(0.5), **run)
    one = sbn.mesoscopic(setup, 1.0, **run)
    jump = sbn.mesoscopic(setup, 1.0, schedule=sbn.schedules.step([0.5], 0.0), **run)
    for name in ("overlap", "length", "gamma"):
        np.testing.assert_array_equal(half[name], one[name])
        np.testing.assert_array_equal(jump[name][..., 0], one[name][..., 0])
        np.testing.assert_array_equal(jump[name][..., 1], one[name][..., 0])


@pytest.mark.usefixtures("device")
def test_divergence_is_a_result():
    setup = sbn.TeacherStudent("linear", "none", 5, label_noise=0.1)
    start, time = sbn.OrderParameters(), np.linspace(0, 200, 9)
    run = {"dimension": 20, "replicas": 3, "device": "cuda"}
    found = sbn.mesoscopic(setup, [0.5, 50.0], time, start, **run)
    calm, wild = found.isel(learning_rate=0), found.isel(learning_rate=1)
    assert np.isnan(calm.diverged_at).all()
    assert np.isfinite(calm.generalization_error).all()
    assert ((wild.diverged_at > 0) & (wild.diverged_at < 200)).all()
    for name in ("overlap", "length", "gamma", "generalization_error"):
        assert np.isposinf(wild[name].where(wild.time >= wild.diverged_at, np.inf)).all()
        assert np.isfinite(wild[name].where(wild.time < wild.diverged_at, 0.0)).all()


@pytest.mark.usefixtures("device")
def test_a_trillion_dimensions():
    """At N = 10¹² a few steps move R by what the flow says, to its relative precision."""
    setup, dimension = sbn.TeacherStudent("relu", "weight", 4, label_noise=0.3), 10**12
    time = [0.0, 2000 / dimension]
    found = sbn.mesoscopic(setup, 1.0, time, START, dimension, replicas=50, device="cuda")
    moved = (found.overlap[0, :, 1] - found.overlap[0, :, 0]) / time[1]
    flow = sbn.macroscopic(setup, 1.0, [0, 1e-3], START).overlap[0]
    rate, error = float(flow[1] - flow[0]) / 1e-3, float(moved.std()) / np.sqrt(50)
    assert error < 0.1 * rate
    assert abs(float(moved.mean()) - rate) < 4 * error + 1e-3


def test_lanes_are_a_power_of_two_that_fits():
    for batch_size in range(1, 1025):
        lanes = cuda.lanes(batch_size)
        assert lanes in (1, 2, 4, 8, 16, 32)
        assert lanes == 32 or lanes * cuda.SAMPLES_PER_THREAD >= batch_size


@pytest.mark.gpu
def test_a_hundred_thousand_replicas():
    setup = setup_with_everything("batch", "relu", 8)
    run = {"learning_rate": 0.8, "time": [2.0], "start": START, "dimension": 50}
    chain = sbn.mesoscopic(setup, replicas=3000, **run).overlap
    try:
        one, two = (sbn.mesoscopic(setup, replicas=100_000, device="cuda", **run) for _ in range(2))
    except NoDevice as missing:
        pytest.skip(str(missing))
    xr.testing.assert_identical(one, two)
    error = float(chain.std()) * np.sqrt(1 / 3000 + 1e-5)
    assert abs(float(one.overlap.mean() - chain.mean())) < 4 * error


def test_without_a_gpu_the_error_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(NoDevice, match="device='cpu'"):
        sbn.mesoscopic(sbn.TeacherStudent(), 1.0, [1.0], START, 10, device="cuda")


@pytest.mark.usefixtures("device")
def test_a_batch_that_is_too_large_is_named():
    setup = sbn.TeacherStudent("relu", "batch", 5000)
    with pytest.raises(InvalidSetup, match=r"batch_size.*at most 4096.*got 5000"):
        sbn.mesoscopic(setup, 1.0, [1.0], START, 10, device="cuda")


def test_an_unknown_device_is_named():
    with pytest.raises(InvalidSetup, match=r"device.*cuda.*got 'tpu'"):
        sbn.mesoscopic(sbn.TeacherStudent(), 1.0, [1.0], START, 10, device="tpu")


@needs_nvcc
def test_kernels_compile_for_the_device(tmp_path):
    sizes = itertools.cycle(((3, 0.3), (32, 0), (300, 0.3), (1024, 0), (5, 0.3)))
    setups = [
        sbn.TeacherStudent(name, normalization, batch_size, label_noise)
        for name, (batch_size, label_noise) in zip(NAMED, sizes, strict=False)
        for normalization in ("none", "weight", "batch")
    ]
    compile_for_the_device(
        [cuda.kernel_source(s, cuda.lanes(s.batch_size)) for s in setups], tmp_path
    )
    by_rule = [
        sbn.TeacherStudent("erf", name, 5, 0.1)
        for name in ("none", "weight", "population", "batch")
    ]
    compile_for_the_device([cuda.kernel_source(s, 2, blocks=True) for s in by_rule], tmp_path)
