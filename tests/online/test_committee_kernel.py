"""The CUDA kernel of committees, compiled for the host: its law, and what it depends on.

Where there is a GPU, `pytest -m gpu` does the same on it.
"""

import numpy as np
import pytest
import sympy as sp
import xarray as xr
from host_cupy import compile_for_the_device, needs_nvcc
from scipy import stats

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup
from statmech_bn.online.chain import committee_cuda, cuda

pytestmark = pytest.mark.thorough

x = sp.Symbol("x")
INPUTS = {
    "isotropic": None,
    "8, 6, 6": sbn.Spectrum([3, 1, 0.2], multiplicities=[8, 6, 6], teacher=[0.3, 0.4, 0.3]),
    "3, 5, 12": sbn.Spectrum([0.2, 1, 3], multiplicities=[3, 5, 12], teacher=[0.2, 0.3, 0.5]),
}
SMALLEST_P = 1e-6  # over about 1500 comparisons with fixed seeds


def committee(normalization, activation="erf", batch_size=5, units=(2, 3), **more):
    """A setup with all that there is, and a start of unlike units."""
    students, teachers = units
    setup = sbn.TeacherStudent(
        activation, normalization, batch_size, 0.3,
        gamma_decay=0.0 if normalization == "none" else 0.05, weight_decay=0.1,
        student_units=students, teacher_units=teachers, readout="learned",
        teacher_overlaps=np.eye(teachers) + 0.2, **more,
    )  # fmt: skip
    gamma = 1.0 if normalization == "none" else 0.8
    readout = np.linspace(0.7, 1.2, students)
    return setup, sbn.OrderParameters.random(setup, 20, 1, gamma=gamma, readout=readout)


def smallest_p(first, second, blocks=False):
    """The smallest p-value of means, spreads and laws of all entries of ρ, Q, γ and v."""
    found = []
    prefix = "block_" if blocks else ""
    for name in (f"{prefix}student_teacher", f"{prefix}student_student", "gamma", "readout"):
        pair = [run[name].values[0, :, -1].reshape(run.sizes["replica"], -1).T
                for run in (first, second)]  # fmt: skip
        for a, b in zip(*pair, strict=True):
            if np.ptp(a) == np.ptp(b) == 0:
                found.append(float(a[0] == b[0]))
                continue
            found += [
                stats.ttest_ind(a, b, equal_var=False).pvalue,
                stats.levene(a, b, center="median").pvalue,
                stats.ks_2samp(a, b).pvalue,
            ]
    return min(found)


@pytest.fixture
def alone(monkeypatch):
    """One thread a replica; on the host, lanes are coroutines, and slow."""
    monkeypatch.setattr(committee_cuda, "lanes", lambda setup, blocks: 1)


CASES = [
    ("none", "erf", 1, (2, 2), "isotropic"),
    ("none", sp.Max(x, x / 5) + sp.sin(x) / 3, 6, (2, 3), "isotropic"),
    ("weight", "relu", 6, (3, 2), "isotropic"),
    ("weight", "tanh", 2, (3, 1), "isotropic"),
    ("population", "erf", 1, (1, 1), "isotropic"),
    ("batch", "relu", 6, (2, 2), "isotropic"),
    ("batch", sp.Max(x, x / 5) + sp.sin(x) / 3, 6, (1, 2), "isotropic"),
    ("ghost(3)", "erf", 12, (2, 2), "isotropic"),
    ("none", "erf", 1, (2, 3), "8, 6, 6"),
    ("weight", "erf", 6, (2, 2), "3, 5, 12"),
    ("population", "relu", 5, (3, 2), "3, 5, 12"),
    ("population", "tanh", 2, (3, 2), "8, 6, 6"),
    ("batch", "erf", 6, (2, 3), "8, 6, 6"),
]


@pytest.mark.parametrize(("normalization", "activation", "batch_size", "units", "inputs"), CASES)
@pytest.mark.usefixtures("device", "alone")
def test_kernel_and_chain_have_the_same_law(normalization, activation, batch_size, units, inputs):
    setup, start = committee(normalization, activation, batch_size, units)
    run = {"setup": setup, "learning_rate": 0.8, "time": [1.5], "start": start, "dimension": 20,
           "inputs": INPUTS[inputs]}  # fmt: skip
    kernel = sbn.mesoscopic(**run, replicas=1500, device="cuda")
    chain = sbn.mesoscopic(**run, replicas=3000, seed=1)
    assert smallest_p(kernel, chain, inputs != "isotropic") > SMALLEST_P


@pytest.mark.usefixtures("device", "alone")
def test_one_more_direction_is_noticed():
    """The comparison above has the power to tell N = 20 from N = 24."""
    setup, start = committee("batch", "relu", 6, (2, 2))
    wrong = sbn.mesoscopic(setup, 0.8, [30 / 24], start, 24, replicas=1500, device="cuda")
    right = sbn.mesoscopic(setup, 0.8, [1.5], start, 20, replicas=3000)
    assert smallest_p(wrong, right) < SMALLEST_P


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize(("normalization", "batch_size"), [("none", 2), ("ghost(3)", 9)])
@pytest.mark.usefixtures("device")
def test_lanes_and_company_leave_no_trace(monkeypatch, normalization, batch_size, inputs):
    """Sums in another order: equal to rounding, amplified by a few steps of a stable chain."""
    setup, start = committee(normalization, "tanh", batch_size)
    run = {"start": start, "dimension": 20, "inputs": INPUTS[inputs], "device": "cuda"}
    time = [0.0, 0.01, 0.02, 0.5, 2.0]  # the first three within one step
    found = []
    for width in (1, 8):
        monkeypatch.setattr(committee_cuda, "lanes", lambda setup, blocks, width=width: width)
        found.append(sbn.mesoscopic(setup, [0.5, 2.0], time, replicas=33, **run))
    xr.testing.assert_allclose(*found, rtol=1e-10, atol=1e-12)
    monkeypatch.setattr(cuda, "THREADS_AT_ONCE", 20)
    monkeypatch.setattr(cuda, "STEPS_OF_LAUNCH", 13)
    monkeypatch.setattr(cuda, "NUMBERS_OF_RECORDS", 150)
    again = sbn.mesoscopic(setup, [0.5, 2.0], time, replicas=33, **run)
    xr.testing.assert_identical(found[1], again)
    fewer = sbn.mesoscopic(setup, [2.0], time, replicas=3, **run)
    assert fewer.equals(again.isel(replica=slice(0, 3), learning_rate=[1]))
    other = sbn.mesoscopic(setup, [2.0], time, replicas=3, **run, seed=1)
    assert not np.allclose(other.gamma + other.readout, fewer.gamma + fewer.readout)


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.usefixtures("device")
def test_starts_are_those_of_the_processor(inputs):
    setup, start = committee("batch")
    run = {"learning_rate": 0.8, "time": [0.0], "start": start, "dimension": 20, "replicas": 4,
           "inputs": INPUTS[inputs], "seed": 3}  # fmt: skip
    one, other = (sbn.mesoscopic(setup, device=name, **run) for name in ("cpu", "cuda"))
    xr.testing.assert_allclose(one, other, rtol=1e-12)
    assert other.attrs["array_library"].startswith("cupy")


@pytest.mark.parametrize("inputs", ["isotropic", "8, 6, 6"])
@pytest.mark.usefixtures("device")
def test_divergence_is_a_result(inputs):
    setup = sbn.TeacherStudent("linear", "none", 2, 0.1, student_units=2, teacher_units=3)
    start, time = sbn.OrderParameters.random(setup, 20, seed=0), np.linspace(0, 200, 9)
    found = sbn.mesoscopic(
        setup, [0.1, 50.0], time, start, 20, 3, device="cuda", inputs=INPUTS[inputs]
    )
    calm, wild = found.isel(learning_rate=0), found.isel(learning_rate=1)
    assert np.isnan(calm.diverged_at).all()
    assert np.isfinite(calm.generalization_error).all()
    assert ((wild.diverged_at > 0) & (wild.diverged_at < 200)).all()
    for name in ("student_teacher", "student_student", "gamma", "readout", "generalization_error"):
        assert np.isposinf(wild[name].where(wild.time >= wild.diverged_at, np.inf)).all()
        assert np.isfinite(wild[name].where(wild.time < wild.diverged_at, 0.0)).all()


@pytest.mark.usefixtures("device")
def test_a_batch_that_is_too_large_is_named():
    setup = sbn.TeacherStudent("relu", "batch", 5000, student_units=2, teacher_units=2)
    start = sbn.OrderParameters.random(setup, 20, seed=0)
    with pytest.raises(InvalidSetup, match=r"batch_size.*at most 1861 on a GPU, got 5000"):
        sbn.mesoscopic(setup, 1.0, [1.0], start, 20, device="cuda")


def test_lanes_are_a_power_of_two_that_has_work():
    for units in (1, 2, 5):
        for batch_size in (1, 2, 3, 6, 32, 1000):
            setup = sbn.TeacherStudent("erf", "none", batch_size, student_units=units)
            lanes = committee_cuda.lanes(setup, 1)
            assert lanes in (1, 2, 4, 8, 16, 32)
            assert lanes < 2 * batch_size
    assert committee_cuda.lanes(setup, 100) == 32


@needs_nvcc
def test_kernels_compile_for_the_device(tmp_path):
    sources = []
    for normalization, activation, batch_size, units, inputs in CASES:
        setup, _ = committee(normalization, activation, batch_size, units)
        blocks = inputs != "isotropic"
        lanes = committee_cuda.lanes(setup, 3 if blocks else 1)
        sources.append(committee_cuda.kernel_source(setup, lanes, blocks))
    compile_for_the_device(sources, tmp_path)
