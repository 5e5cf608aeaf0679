"""Committees of N weights: exact starts, any inputs, stacks, divergence, precision, GPU code."""

import importlib
import shutil

import array_api_strict
import numpy as np
import pytest
import xarray as xr
from host_kernels import HostKernels
from scipy import stats

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup, NoDevice
from statmech_bn.online.network import committee

pytestmark = pytest.mark.thorough

UNITS = {"student_units": 2, "teacher_units": 3}
SETUP = sbn.TeacherStudent("relu", "batch", 5, 0.3, 0.02, 0.1, readout="learned", **UNITS)
START = sbn.OrderParameters.random(SETUP, 20, seed=0, gamma=0.9, readout=[0.5, 1.0])
GOOD = {"setup": SETUP, "learning_rate": 0.5, "time": [0.0, 1.0], "start": START, "dimension": 20}


def signs(generator, samples, dimension):
    return generator.choice([-1.0, 1.0], size=(samples, dimension))


def test_weights_begin_with_exactly_the_order_parameters():
    found = sbn.microscopic(**GOOD, replicas=3).isel(learning_rate=0, time=0)
    for name, expected in zip(("student_teacher", "student_student", "gamma", "readout"),
                              START.matrices(SETUP), strict=True):  # fmt: skip
        for values in found[name].values:
            np.testing.assert_allclose(values, expected, atol=1e-14)


def test_results_do_not_depend_on_stacks_or_company(monkeypatch):
    run = GOOD | {"learning_rate": [0.5, 2.0]}
    one = sbn.microscopic(**run, replicas=5)
    monkeypatch.setattr(committee, "STACK_SIZE", 1)
    xr.testing.assert_identical(sbn.microscopic(**run, replicas=5), one)
    alone = sbn.microscopic(**GOOD, replicas=2)
    xr.testing.assert_allclose(alone, one.isel(learning_rate=[0], replica=[0, 1]), rtol=1e-10)


@pytest.mark.parametrize("normalization", ["none", "weight", "population", "batch", "ghost(3)"])
def test_other_inputs_learn_as_gaussian_ones_do(normalization):
    """Signs at N = 300: fields are nearly Gaussian; means within 4.5 standard errors and 3/N."""
    scale = 1.0 if normalization == "none" else 0.9
    setup = sbn.TeacherStudent("erf", normalization, 6, 0.2, **UNITS)
    start = sbn.OrderParameters.random(setup, 300, seed=1, gamma=scale)
    run = {"setup": setup, "start": start, "learning_rate": 1.0, "time": [0.0, 1.0],
           "dimension": 300}  # fmt: skip
    given = sbn.Inputs(signs, mean=np.zeros(300), covariance=np.ones(300))
    found = sbn.microscopic(**run, replicas=12, inputs=given).isel(learning_rate=0, time=1)
    chain = sbn.mesoscopic(**run, replicas=200).isel(learning_rate=0, time=1)
    assert found.attrs["inputs"] == "signs"
    for name in ("student_teacher", "student_student", "gamma"):
        error = chain[name].std("replica") / np.sqrt(12) * np.sqrt(1 + 12 / 200)
        off = np.abs(found[name].mean("replica") - chain[name].mean("replica"))
        assert (off < 4.5 * error + 3 / 300).all(), name
    error = found.generalization_error.values
    # 4000 test samples know a mean square error to some per cent
    np.testing.assert_allclose(error.mean(), chain.generalization_error.mean(), rtol=0.1)


def test_data_and_a_given_teacher():
    generator = np.random.default_rng(0)
    data = generator.standard_normal((50, 20)) * np.linspace(0.5, 1.5, 20)
    teacher = np.sqrt(20) * np.linalg.qr(generator.standard_normal((20, 3)))[0].T
    found = sbn.microscopic(**GOOD, inputs=data, teacher=teacher, replicas=2)
    assert found.attrs["inputs"] == "data"
    assert np.isfinite(found.generalization_error).all()
    with pytest.raises(InvalidSetup, match=r"teacher: expected units of the products \[\[1\.0, 0"):
        sbn.microscopic(**GOOD, teacher=2 * teacher)
    with pytest.raises(InvalidSetup, match=r"teacher: expected shape \(3, 20\)"):
        sbn.microscopic(**GOOD, teacher=teacher[:2])


def test_single_precision_is_near_to_double():
    double = sbn.microscopic(**GOOD, replicas=2)
    single = sbn.microscopic(**GOOD, replicas=2, dtype="float32")
    assert single.attrs["dtype"] == "float32"
    for name in ("student_teacher", "student_student", "gamma", "readout"):
        np.testing.assert_allclose(single[name], double[name], atol=1e-4)


NAMES = ("student_teacher", "student_student", "gamma", "readout")
SPECTRUM = sbn.Spectrum([3, 1, 0.2], multiplicities=[4, 6, 10], teacher=[0.5, 0.2, 0.3])


@pytest.fixture
def on_device(monkeypatch):
    """Simulate where another library stands for the GPU's."""
    module = importlib.import_module("statmech_bn.online.microscopic")

    def simulate(library, **arguments):
        with monkeypatch.context() as patch:
            patch.setattr(module, "namespace", lambda device: library)
            return sbn.microscopic(device="cuda", **arguments)

    return simulate


def committees(normalization, activation="erf"):
    """A setup with all that there is, and a call."""
    scale = 1.0 if normalization == "none" else 0.9
    setup = sbn.TeacherStudent(
        activation, normalization, 6, 0.3, 0.05 * (scale < 1), 0.1, readout="learned", **UNITS,
        teacher_overlaps=np.eye(3) + 0.2, teacher_readout=[1, -0.5, 0.7],
    )  # fmt: skip
    start = sbn.OrderParameters.random(setup, 20, seed=1, gamma=scale, readout=[0.5, 1.0])
    return GOOD | {"setup": setup, "start": start, "learning_rate": [0.5, 1.5], "replicas": 3}


@pytest.mark.parametrize("inputs", ["Gaussian", "spectrum", "signs", "data"])
@pytest.mark.parametrize("normalization", ["none", "weight", "population", "batch", "ghost(3)"])
def test_the_arrays_of_the_standard_make_the_same_steps(normalization, inputs, on_device):
    """The code asks of an array library what the standard has, and nothing else."""
    given = {
        "Gaussian": None, "spectrum": SPECTRUM, "signs": signs,
        "data": np.random.default_rng(1).standard_t(7, size=(50, 20)),
    }  # fmt: skip
    run = committees(normalization) | {"inputs": given[inputs]}
    expected, found = sbn.microscopic(**run), on_device(array_api_strict, **run)
    for name in NAMES:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-11, atol=1e-12)
    assert found.attrs["array_library"].startswith("array_api_strict")


needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")


def last_numbers(found):
    """Return all numbers of the last state, (numbers, replicas)."""
    last = found.isel(learning_rate=0, time=-1)
    values = [last[name].values.reshape(last.sizes["replica"], -1) for name in NAMES]
    return np.concatenate(values, axis=1).T


@needs_compiler
@pytest.mark.parametrize("normalization", ["none", "weight", "population", "batch", "ghost(3)"])
def test_kernels_of_a_gpu_are_right(normalization, on_device):
    """Its CUDA source, run on the host: the steps of given samples, the law of its own."""
    run = committees(normalization, "relu")
    expected = sbn.microscopic(**run, inputs=signs)
    found = on_device(HostKernels(), **run, inputs=signs)
    for name in NAMES:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-11, atol=1e-12)
    single = on_device(HostKernels(), **run, inputs=signs, dtype="float32")
    for name in NAMES:
        np.testing.assert_allclose(single[name], expected[name], atol=1e-4)
    for inputs in (None, SPECTRUM):
        many = run | {"learning_rate": 0.5, "inputs": inputs}
        drawn = on_device(HostKernels(), **many | {"replicas": 500})
        chain = sbn.mesoscopic(**many | {"replicas": 2000})
        for one, other in zip(last_numbers(drawn), last_numbers(chain), strict=True):
            if np.ptp(other) > 0:  # γ of none is always 1
                assert stats.ks_2samp(one, other).pvalue > 1e-5  # over 160 numbers


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("normalization", ["none", "weight", "population", "batch", "ghost(3)"])
def test_gpu_and_chain_have_the_same_law(normalization, dtype):
    for inputs in (None, SPECTRUM):
        run = committees(normalization, "relu") | {"learning_rate": 0.5, "inputs": inputs}
        try:
            drawn = sbn.microscopic(**run | {"replicas": 2000}, device="cuda", dtype=dtype)
        except NoDevice as missing:
            pytest.skip(str(missing))
        chain = sbn.mesoscopic(**run | {"replicas": 2000})
        for one, other in zip(last_numbers(drawn), last_numbers(chain), strict=True):
            if np.ptp(other) > 0:
                assert stats.ks_2samp(one, other).pvalue > 1e-5


@pytest.mark.parametrize(
    ("arguments", "name"),
    [({"dimension": 4}, "dimension"), ({"start": sbn.OrderParameters()}, "start"),
     ({"inputs": sbn.Spectrum([2, 1], multiplicities=[2, 18])}, "inputs")],
    ids=str,
)  # fmt: skip
def test_refuses(arguments, name):
    with pytest.raises(InvalidSetup, match=f"^{name}.*: expected"):
        sbn.microscopic(**GOOD | arguments)
