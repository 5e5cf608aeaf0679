"""The CUDA kernel of the chain of blocks, compiled for the host: its law, and what it depends on.

Where there is a GPU, `pytest -m gpu` does the same on it.
"""

import numpy as np
import pytest
import sympy as sp
import xarray as xr
from scipy import stats

import statmech_bn as sbn
from statmech_bn.codegen import numba_function
from statmech_bn.online.chain import cuda
from statmech_bn.online.chain.blocks import Components, Move, move
from statmech_bn.symbolic import step as s

pytestmark = pytest.mark.thorough

x = sp.Symbol("x")
SPECTRA = {
    "4, 6, 10": sbn.Spectrum([3, 1, 0.2], multiplicities=[4, 6, 10], teacher=[0.3, 0.4, 0.3]),
    "1, 1, 18": sbn.Spectrum([3, 1, 0.2], multiplicities=[1, 1, 18], teacher=[0.3, 0.4, 0.3]),
    "2, 1, 17": sbn.Spectrum([0.2, 1, 3], multiplicities=[2, 1, 17], teacher=[0.6, 0.0, 0.4]),
    "20 × 1": sbn.Spectrum(np.geomspace(3, 0.1, 20), multiplicities=np.ones(20, int)),
}
START = sbn.OrderParameters(0.3, 0.9, 1.0)
RUN = {"learning_rate": 0.8, "time": [2.0], "start": START, "dimension": 20}
SMALLEST_P = 1e-5  # over about 600 comparisons with fixed seeds


@pytest.fixture
def alone(monkeypatch):
    """One thread a replica; on the host, lanes are coroutines, and slow."""
    monkeypatch.setattr(cuda, "lanes", lambda size: 1)


def setup_with_everything(normalization, activation="relu", batch_size=5):
    decay = 0.0 if normalization == "none" else 0.05
    return sbn.TeacherStudent(
        activation, normalization, batch_size, 0.3, gamma_decay=decay, weight_decay=0.1
    )


def smallest_p(first, second):
    """The smallest p-value of means, spreads and laws of all ρ_i, Q_i and γ."""
    found = []
    for name in ("block_student_teacher", "block_student_student", "gamma"):
        pair = [np.atleast_2d(run[name].values[0, :, -1].T) for run in (first, second)]
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


@pytest.mark.parametrize(
    ("normalization", "sizes", "activation"),
    [
        ("none", "4, 6, 10", "relu"),
        ("weight", "1, 1, 18", "erf"),
        ("population", "2, 1, 17", "relu"),
        ("population", "20 × 1", sp.Max(x, x / 5) + sp.sin(x) / 3),
        ("batch", "4, 6, 10", "erf"),
        ("batch", "1, 1, 18", "relu"),
    ],
)
@pytest.mark.usefixtures("device", "alone")
def test_kernel_and_chain_have_the_same_law(normalization, sizes, activation):
    setup, inputs = setup_with_everything(normalization, activation), SPECTRA[sizes]
    kernel = sbn.mesoscopic(setup, replicas=1500, device="cuda", inputs=inputs, **RUN)
    chain = sbn.mesoscopic(setup, replicas=3000, seed=1, inputs=inputs, **RUN)
    assert smallest_p(kernel, chain) > SMALLEST_P


@pytest.mark.usefixtures("device", "alone")
def test_a_block_with_one_more_direction_is_noticed():
    """The comparison above has the power to tell multiplicities (4, 6, 10) from (6, 6, 8)."""
    setup = setup_with_everything("batch")
    wrong = sbn.Spectrum([3, 1, 0.2], multiplicities=[6, 6, 8], teacher=[0.3, 0.4, 0.3])
    kernel = sbn.mesoscopic(setup, replicas=1500, device="cuda", inputs=wrong, **RUN)
    chain = sbn.mesoscopic(setup, replicas=3000, seed=1, inputs=SPECTRA["4, 6, 10"], **RUN)
    assert smallest_p(kernel, chain) < SMALLEST_P


@pytest.mark.usefixtures("device")
def test_lanes_and_company_leave_no_trace(monkeypatch):
    """Sums in another order: equal to rounding, amplified by a few steps of a stable chain."""
    setup, inputs = setup_with_everything("population", "tanh"), SPECTRA["4, 6, 10"]
    run = {"time": [0.0, 0.5, 2.0], "start": START, "dimension": 20, "inputs": inputs}
    found = []
    for width in (1, 8):
        monkeypatch.setattr(cuda, "lanes", lambda size, width=width: width)
        found.append(sbn.mesoscopic(setup, [0.5, 2.0], replicas=33, device="cuda", **run))
    xr.testing.assert_allclose(*found, rtol=1e-12, atol=1e-14)
    monkeypatch.setattr(cuda, "THREADS_AT_ONCE", 20)
    monkeypatch.setattr(cuda, "STEPS_OF_LAUNCH", 13)
    monkeypatch.setattr(cuda, "NUMBERS_OF_RECORDS", 150)
    again = sbn.mesoscopic(setup, [0.5, 2.0], replicas=33, device="cuda", **run)
    xr.testing.assert_identical(found[1], again)
    fewer = sbn.mesoscopic(setup, [2.0], replicas=3, device="cuda", **run)
    xr.testing.assert_identical(
        again.isel(replica=slice(0, 3), learning_rate=[1]).drop_vars("learning_rate"),
        fewer.drop_vars("learning_rate"),
    )


@pytest.mark.usefixtures("device")
def test_starts_are_those_of_the_processor():
    setup, inputs = setup_with_everything("batch"), SPECTRA["1, 1, 18"]
    run = {**RUN, "time": [0.0], "inputs": inputs, "replicas": 4, "seed": 3}
    one, other = (sbn.mesoscopic(setup, device=name, **run) for name in ("cpu", "cuda"))
    for name in ("block_student_teacher", "block_student_student", "gamma", "overlap"):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-12)


@pytest.mark.usefixtures("device")
def test_divergence_is_a_result():
    setup = sbn.TeacherStudent("linear", "none", 5, label_noise=0.1)
    time, inputs = np.linspace(0, 200, 9), SPECTRA["4, 6, 10"]
    found = sbn.mesoscopic(
        setup, [0.2, 50.0], time, sbn.OrderParameters(), 20, 3, device="cuda", inputs=inputs
    )
    calm, wild = found.isel(learning_rate=0), found.isel(learning_rate=1)
    assert np.isnan(calm.diverged_at).all()
    assert np.isfinite(calm.generalization_error).all()
    assert ((wild.diverged_at > 0) & (wild.diverged_at < 200)).all()
    for name in ("block_student_teacher", "block_student_student", "gamma"):
        assert np.isposinf(wild[name].where(wild.time >= wild.diverged_at, np.inf)).all()


@pytest.mark.parametrize("by_covariance", [False, True])
def test_the_printed_step_is_the_processors(by_covariance):
    """The derived component and rest, at numbers, against the compiled loop of the CPU."""
    generator = np.random.default_rng(0)
    parts = Components(np.array([1.5, 0.4, 0.4]), np.array([0.7, 0.2, 0.0]), np.array([3.0]))
    before, numbers = generator.standard_normal((2, 3))
    outside, by = np.array([1.7]), Move(0.9, *np.array([0.2, 0.0]), 0.3, -0.1, 0.25)
    if by_covariance:
        by = by._replace(turn=0.0, turn_along=0.2)
    component = numba_function([s.component_step(by_covariance)], s.COMPONENT)
    rest = numba_function([s.rest_step()], s.REST)
    rows = zip(before, parts.teacher, numbers, parts.root, strict=True)
    given = (by.keep, 0.2, by.own, by.towards, by.noise)
    expected = np.array([np.ravel(component(*row, *given))[0] for row in rows])
    expected[2] = np.ravel(rest(expected[2], outside[0], parts.root[2], by.noise))[0]
    found = before.copy()
    move(parts, found, np.zeros(3), numbers, outside, by)
    np.testing.assert_allclose(found, expected, rtol=1e-14)
