"""The flow of committees on inputs with a covariance: one unit, one block, and the chain."""

import numpy as np
import pytest

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup
from statmech_bn.online.flow.blocks import _flow
from statmech_bn.online.flow.committee import CommitteeFlow
from statmech_bn.online.flow.committee_blocks import BlockFlow
from statmech_bn.online.flow.committee_rates import pack

pytestmark = pytest.mark.thorough

SPECTRUM = sbn.Spectrum([3, 1, 0.2], fractions=[0.2, 0.3, 0.5], teacher=[0.5, 0.2, 0.3])
RATES = {"gamma_learning_rate": 0.5, "readout_learning_rate": 0.4}
TEACHER = [[1.0, 0.3], [0.3, 1.2]]


def problem(normalization, activation, batch_size=5, readout="learned"):
    """Correlated teacher, noise, decays, γ and a second layer that learn: setup and start."""
    scale = 1.0 if normalization == "none" else 0.9
    setup = sbn.TeacherStudent(
        activation, normalization, batch_size, 0.3, 0.05 * (scale < 1), 0.1, student_units=2,
        teacher_units=2, teacher_overlaps=TEACHER, teacher_readout=[1, -0.5], readout=readout,
    )  # fmt: skip
    start = sbn.OrderParameters(
        student_teacher=[[0.4, 0.2], [-0.2, 0.3]], student_student=[[0.9, 0.1], [0.1, 0.8]],
        gamma=[scale, scale**2], readout=[0.7, 0.5],
    )  # fmt: skip
    return setup, start


@pytest.mark.parametrize("activation", ["linear", "erf", "relu"])
@pytest.mark.parametrize("normalization", ["none", "weight", "population"])
def test_one_unit_has_the_flow_of_its_own(normalization, activation):
    """Derivatives agree to 10⁻¹⁰; the flow of one unit is derived by itself."""
    decay = 0.0 if normalization == "none" else 0.05
    setup = sbn.TeacherStudent(activation, normalization, 3, 0.3, decay, 0.02)
    start = sbn.OrderParameters(0.35, 1.3, 1.0 if normalization == "none" else 0.8)
    state = np.append(np.stack(start.blocks(SPECTRUM), axis=1).ravel(), start.gamma)
    one = _flow(setup, SPECTRUM, start)(state, np.array([1.2, 0.7]))
    several = BlockFlow(setup, SPECTRUM, 1.5)
    first = several.start(start)
    np.testing.assert_allclose(first[:-1], state, rtol=1e-14)
    found = several(first, np.array([1.2, 0.7, 0.0]))
    np.testing.assert_allclose(found[:-1], one, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("activation", ["erf", "relu", "tanh"])
@pytest.mark.parametrize("normalization", ["none", "weight", "population", "batch"])
def test_blocks_of_ones_are_isotropic(normalization, activation):
    """Derivatives of the sums over blocks, of one block and of two that are alike."""
    setup, start = problem(normalization, activation)
    rates = np.array([1.2, 0.7, 0.4])
    expected = CommitteeFlow(setup, 1.5)(pack(*start.matrices(setup)), rates)
    for fractions in ([1.0], [0.3, 0.7]):
        flow = BlockFlow(setup, sbn.Spectrum(np.ones(len(fractions)), fractions), 1.5)
        rho, q, gamma, readout = flow.unpack(flow(flow.start(start), rates))
        found = pack(rho.sum(axis=0), q.sum(axis=0), gamma, readout)
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("normalization", "activation"),
    [("none", "erf"), ("weight", "relu"), ("population", "erf"), ("weight", "tanh")],
)
def test_the_chain_of_blocks_follows_the_flow(normalization, activation):
    """All blocks' ρ and Q, γ and v: within four standard errors and O(1/N) of the chain."""
    setup, start = problem(normalization, activation)
    run = {"setup": setup, "learning_rate": 0.7, "time": [0.5, 2.0], "start": start,
           **RATES, "inputs": SPECTRUM}  # fmt: skip
    flow = sbn.macroscopic(**run).isel(learning_rate=0)
    chain = sbn.mesoscopic(**run, dimension=2000, replicas=40, seed=2).isel(learning_rate=0)
    assert flow["block_student_teacher"].dims == ("time", "block", "student_unit", "teacher_unit")
    for name in ("block_student_teacher", "block_student_student", "gamma", "readout"):
        allowed = 4 * chain[name].std("replica") / np.sqrt(40) + 4 / 2000
        assert (abs(chain[name].mean("replica") - flow[name]) < allowed).all(), name
    off = abs(chain["generalization_error"].mean("replica") - flow["generalization_error"])
    spread = chain["generalization_error"].std("replica") / np.sqrt(40)
    assert (off < 4 * spread + 4 / 2000).all()
    # nested integrals for tanh, as a lattice for fields of this variance would have too many points
    assert (flow["averages_error"] < (1e-5 if activation == "tanh" else 1e-12)).all()


@pytest.mark.slow
def test_the_chain_of_blocks_follows_the_flow_with_batch_statistics():
    setup, start = problem("batch", "erf", 8)
    run = {"setup": setup, "learning_rate": 0.7, "time": [2.0], "start": start,
           **RATES, "inputs": SPECTRUM}  # fmt: skip
    flow = sbn.macroscopic(**run).isel(learning_rate=0)
    chain = sbn.mesoscopic(**run, dimension=2000, replicas=40, seed=2).isel(learning_rate=0)
    for name in ("block_student_teacher", "block_student_student", "gamma", "readout"):
        allowed = 4 * chain[name].std("replica") / np.sqrt(40) + 5 / 2000
        assert (abs(chain[name].mean("replica") - flow[name]) < allowed).all(), name


def test_a_student_that_is_the_teacher_stays_it():
    """Fields of a singular covariance; without noise nothing moves."""
    setup = sbn.TeacherStudent(
        "erf", "none", 2, student_units=2, teacher_units=2, teacher_overlaps=TEACHER
    )
    start = sbn.OrderParameters(student_teacher=TEACHER, student_student=TEACHER)
    run = sbn.macroscopic(setup, 0.5, [5.0], start, inputs=SPECTRUM).isel(learning_rate=0, time=0)
    np.testing.assert_allclose(run["student_teacher"], TEACHER, atol=1e-10)
    assert abs(run["generalization_error"].item()) < 1e-12


def test_many_blocks_have_a_band():
    """Of 80 blocks as of 8 with the same moments, to the accuracy of the solver."""
    setup, start = problem("weight", "erf", readout="fixed")
    start = sbn.OrderParameters(
        student_teacher=start.student_teacher, student_student=start.student_student,
        gamma=start.gamma, readout=1.0,
    )  # fmt: skip
    few = sbn.Spectrum(np.linspace(0.5, 1.5, 8), np.full(8, 1 / 8))
    many = sbn.Spectrum(np.repeat(np.linspace(0.5, 1.5, 8), 10), np.full(80, 1 / 80))
    runs = [sbn.macroscopic(setup, 0.7, [3.0], start, inputs=inputs) for inputs in (few, many)]
    for name in ("student_teacher", "student_student", "gamma", "generalization_error"):
        np.testing.assert_allclose(*(run[name] for run in runs), rtol=1e-6)


def test_a_scale_of_zero_at_a_kink_is_refused():
    setup, _ = problem("weight", "relu")
    start = sbn.OrderParameters(
        student_teacher=np.zeros((2, 2)), student_student=np.eye(2), gamma=[0.0, 1.0]
    )
    with pytest.raises(InvalidSetup, match=r"start\.gamma"):
        sbn.macroscopic(setup, 1.0, [1.0], start, inputs=SPECTRUM)
