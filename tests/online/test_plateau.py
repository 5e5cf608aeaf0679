"""The plateau: the closed symmetric fixed point, and trajectories that leave it."""

import numpy as np
import pytest

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup, NotConverged
from statmech_bn.online.flow.committee import CommitteeFlow
from statmech_bn.online.flow.committee_rates import unpack
from statmech_bn.online.rates import symmetric_phase

pytestmark = pytest.mark.thorough


def committee(units, normalization="none", batch_size=1, **more):
    return sbn.TeacherStudent(
        "erf", normalization, batch_size, student_units=units, teacher_units=units, **more
    )


@pytest.mark.parametrize("units", [2, 3])
def test_the_closed_symmetric_fixed_point(units):
    """Saad & Solla 1995, η → 0: ρ = 1/√(K(2K−1)), Q = C = 1/(2K−1), and ε_g there."""
    found = sbn.rates.plateau(committee(units), [0.001, 0.002])
    rho = (found["overlap"] * found["length"]).values
    square = (found["length"] ** 2).values
    error = found["generalization_error"].values
    known = (
        1 / np.sqrt(units * (2 * units - 1)), 1 / (2 * units - 1),
        units / np.pi * (np.pi / 6 - units * np.arcsin(1 / (2 * units))),
    )  # fmt: skip
    for values, value in zip((rho, square, error), known, strict=True):
        assert 2 * values[0] - values[1] == pytest.approx(value, rel=2e-5)  # without O(η)
        assert values[0] == pytest.approx(value, rel=2e-3)
    assert (found["escape_rate"] > 0).all()


def test_a_trajectory_rests_there_and_leaves_at_the_escape_rate():
    """K = K* = 3, M = 1: from a small asymmetry, over a factor of 100 of it."""
    rate = 0.5
    setup = committee(3)
    found = sbn.rates.plateau(setup, rate)
    square, mutual = (found["length"] ** 2).item(), found["mutual_overlap"].item()
    rho = found["overlap"].item() * np.sqrt(square)
    q = square * (mutual + (1 - mutual) * np.eye(3))
    start = sbn.OrderParameters(student_teacher=rho + 1e-6 * np.eye(3), student_student=q)
    time = np.linspace(300, 460, 21)
    run = sbn.macroscopic(setup, rate, time, start)
    np.testing.assert_allclose(
        run["generalization_error"].values[0], found["generalization_error"].item(), rtol=1e-3
    )
    products = run["student_teacher"].values[0]
    special = products[:, 0, 0] - products[:, 0, 1]
    assert special[-1] < 0.1
    slope = np.polyfit(time, np.log(special), 1)[0]
    assert slope == pytest.approx(found["escape_rate"].item(), rel=1e-2)


TEACHERS = {"teacher_overlaps": [[1.44, 0.3], [0.3, 1.44]], "teacher_readout": 0.8}


@pytest.mark.parametrize("more", [{}, {"readout": "learned"}, TEACHERS], ids=str)
@pytest.mark.parametrize("normalization", ["none", "weight"])
def test_the_flow_rests_at_the_plateau_and_leaves_it_at_an_eigenvalue(normalization, more):
    """Cosines and scales stay; a small asymmetry of ρ grows as a positive eigenvalue says."""
    rate, setup = 0.2, committee(2, normalization, 4, **more)
    found = sbn.rates.plateau(setup, rate, length=1.3).isel(learning_rate=0)
    eigenvalues = found["eigenvalue"].values
    assert eigenvalues[0].real == found["escape_rate"] > 0
    assert (np.diff(eigenvalues.real) <= 0).all()
    # four of ρ, three of Q or one and two scales, and two readouts if they are learned
    assert eigenvalues.size == 7 + 2 * (setup.readout == "learned")
    length = found["length"].item()
    rho = found["overlap"].item() * length * np.sqrt(setup.teacher_gram[0, 0])
    q = length**2 * np.array([[1.0, found["mutual_overlap"].item()]] * 2)
    q[1] = q[1, ::-1]
    last = 3.0 / found["escape_rate"].item()
    held = 0.0
    if normalization == "weight":  # lengths grow, and the flow slows down with them
        assert length == pytest.approx(1.3)
        last, held = 0.02 * last, 1.0
    run = sbn.macroscopic(
        setup, rate, [0.0, last],
        sbn.OrderParameters(
            student_teacher=rho + 1e-5 * np.eye(2), student_student=q,
            gamma=found["gamma"].item(), readout=found["readout"].item(),
        ),
    ).isel(learning_rate=0)  # fmt: skip
    norms = np.sqrt(np.diagonal(run["student_student"].values, axis1=1, axis2=2))
    cosines = run["student_teacher"].values / norms[:, :, None]
    assert np.abs(cosines[1] - cosines[0]).max() < 1e-3
    for name in ("gamma", "readout"):
        assert np.abs(run[name].diff("time")).max() < 1e-3
    special = cosines[:, 0, 0] - cosines[:, 0, 1]
    growth = np.log(special[1] / special[0])
    grown = np.log(norms[1, 0] / norms[0, 0])
    positive = eigenvalues.real[eigenvalues.real > 1e-4]
    expected = last * positive[np.argmin(np.abs(last * positive - growth))]
    assert growth == pytest.approx(expected, rel=0.02 + held * 4 * grown)


def test_weight_normalization_has_the_plateau_of_none_at_its_own_effective_rate():
    """To first order in η, a scale γ at the length L learns as fast as η γ²/L²."""
    none = sbn.rates.plateau(committee(2, "none", 8), 1e-3)
    weight = sbn.rates.plateau(committee(2, "weight", 8), 1e-3, length=1.5)
    assert weight["generalization_error"].item() == pytest.approx(
        none["generalization_error"].item(), rel=1e-3
    )
    effective = (weight["gamma"] / weight["length"]).item() ** 2
    expected = none["escape_rate"].item() * effective
    assert weight["escape_rate"].item() == pytest.approx(expected, rel=2e-3)


def symmetric(normalization, rate, students=2, teachers=2):
    """Return the flow at a rate, lengths held at 1.3, and a symmetric state that is not at rest."""
    setup = sbn.TeacherStudent(
        "erf", normalization, 2, 0.3, readout="learned", student_units=students,
        teacher_units=teachers,
    )  # fmt: skip
    problem = symmetric_phase._Symmetric(setup, CommitteeFlow(setup, 2.0), rate, 1.3, 0.8)
    return problem, np.array([0.3, 1.69, 0.4, 0.9, 0.8])


@pytest.mark.parametrize("normalization", ["none", "weight"])
def test_held_lengths_stay_and_cosines_move_as_in_the_free_flow(normalization):
    problem, values = symmetric(normalization, 2.0)
    state, step = problem.state(values), 1e-6
    free, held = problem.flow(state, problem.rates), problem.derivatives(state)
    shapes = []
    for derivative in (free, held):
        rho, q, *_ = unpack(state + step * derivative, 2, 2)
        length = np.sqrt(np.diag(q))
        shapes.append([rho / length[:, None], q / np.outer(length, length)])
    np.testing.assert_allclose(shapes[0], shapes[1], atol=1e-10)
    d_rho, d_q, d_gamma, d_readout = unpack(held, 2, 2)
    assert (np.abs(np.diag(d_q)) < 1e-12).all() == problem.held
    reduced = [d_rho[0, 1], d_q[0, 0], d_q[0, 1], d_gamma[0], d_readout[0]]
    np.testing.assert_allclose(problem.reduced(values), reduced, rtol=1e-9, atol=1e-12)


def jacobian_of(problem, state):
    steps = 1e-5 * np.eye(state.size)
    moved = [problem.derivatives(state + h) - problem.derivatives(state - h) for h in steps]
    return np.array(moved).T / 2e-5


@pytest.mark.parametrize(
    ("normalization", "moving"),
    [("none", [0, 1, 2, 3, 4, 5, 6, 9, 10]), ("weight", [0, 1, 2, 3, 5, 7, 8, 9, 10])],
)
def test_held_lengths_and_scales_that_there_are_not_have_no_eigenvalues(normalization, moving):
    """Of four ρ, Q₁₁, Q₁₂, Q₂₂, two γ and two v."""
    problem, values = symmetric(normalization, 0.5)
    state = problem.state(values)
    known = np.linalg.eigvals(jacobian_of(problem, state)[np.ix_(moving, moving)])
    found = np.linalg.eigvals(symmetric_phase._jacobian(problem, state))
    np.testing.assert_allclose(np.sort(found), np.sort(known), rtol=1e-6, atol=1e-9)


def test_a_symmetric_flow_does_not_know_the_order_of_units():
    problem, values = symmetric("weight", 0.5, 2, 3)
    jacobian = jacobian_of(problem, problem.state(values))
    orders = [symmetric_phase._permuted(problem, *o) for o in symmetric_phase._orders(2, 3)]
    assert len({tuple(order) for order in orders}) == 2 * 6
    for order in orders:
        np.testing.assert_allclose(jacobian[np.ix_(order, order)], jacobian, atol=1e-8)
    some = symmetric_phase._orders(5, 4)  # 2880 are more than are needed
    assert len(some) == symmetric_phase.MOST_PERMUTATIONS
    assert {(*sorted(a), *sorted(b)) for a, b in some} == {(0, 1, 2, 3, 4, 0, 1, 2, 3)}


@pytest.mark.slow
def test_batches_part_the_units_on_the_plateau_and_shorten_it():
    """1 − C/Q falls like M^(−1/2), and the escape rate is above that of weight normalization."""
    weight = sbn.rates.plateau(committee(2, "weight", 8), 0.5)
    found = [sbn.rates.plateau(committee(2, "batch", size), 0.5) for size in (32, 128)]
    parted = [1 - run["mutual_overlap"].item() for run in found]
    assert parted[0] / parted[1] == pytest.approx(2, rel=0.1)
    escape = [run["escape_rate"].item() for run in (*found, weight)]
    assert escape[0] > 1.05 * escape[1] > 1.05 * 1.05 * escape[2]


def test_what_has_no_symmetric_phase_is_refused():
    with pytest.raises(InvalidSetup, match="two units"):
        sbn.rates.plateau(sbn.TeacherStudent("erf", "none", 1, teacher_units=2))
    with pytest.raises(InvalidSetup, match="alike"):
        sbn.rates.plateau(committee(2, teacher_readout=[1.0, 2.0]))
    with np.errstate(all="raise"), pytest.raises(NotConverged, match="learning rate 1e\\+09"):
        sbn.rates.plateau(committee(2), 1e9)
    uneven = [[1.0, 0.1, 0.1], [0.1, 1.0, 0.3], [0.1, 0.3, 1.0]]
    with pytest.raises(InvalidSetup, match="alike"):
        sbn.rates.plateau(committee(3, teacher_overlaps=uneven))
