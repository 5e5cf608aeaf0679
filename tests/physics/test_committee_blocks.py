"""Committees on inputs with a covariance: the chain of blocks against N-vectors and one block."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import statmech_bn as sbn

sys.path.insert(0, str(Path(__file__).parent))
from committees import SMALLEST_P, smallest_p

pytestmark = pytest.mark.thorough

SPECTRUM = sbn.Spectrum([3, 1, 0.2], multiplicities=[4, 6, 10], teacher=[0.5, 0.2, 0.3])
TEACHER = [[1.0, 0.3], [0.3, 1.2]]
SCALE = {"none": 1.0}


def problem(normalization, activation, units=2, batch_size=5, readout="learned"):
    """Correlated teacher, noise, decays, γ and a second layer that learn: setup and arguments."""
    scale = SCALE.get(normalization, 0.9)
    setup = sbn.TeacherStudent(
        activation, normalization, batch_size, 0.3, 0.05 * (scale < 1), 0.1, student_units=units,
        teacher_units=2, teacher_overlaps=TEACHER, teacher_readout=[1, -0.5], readout=readout,
    )  # fmt: skip
    rho = np.array([[0.4, 0.2], [-0.2, 0.3], [0.1, 0.0]])[:units]
    start = sbn.OrderParameters(
        student_teacher=rho, student_student=0.8 * np.eye(units) + 0.1, gamma=scale,
        readout=[0.7, 0.5, 0.6][:units],
    )  # fmt: skip
    return {"setup": setup, "start": start, "learning_rate": 0.7, "gamma_learning_rate": 0.5,
            "readout_learning_rate": 0.4 if readout == "learned" else None}  # fmt: skip


def numbers(found, blocks="block_"):
    """Return all independent numbers of the last state and ε_g, (replicas, numbers)."""
    last = found.isel(learning_rate=0, time=-1)
    upper = np.triu_indices(last.sizes["student_unit"])
    parts = [last[f"{blocks}student_teacher"].values,
             last[f"{blocks}student_student"].values[..., *upper], last["gamma"].values,
             last["readout"].values, last["generalization_error"].values]  # fmt: skip
    return np.concatenate([a.reshape(last.sizes["replica"], -1) for a in parts], axis=1)


@pytest.mark.parametrize("activation", ["erf", "relu"])
@pytest.mark.parametrize("normalization", ["none", "weight", "population", "batch"])
def test_chain_and_network_have_the_same_law(normalization, activation):
    """All blocks' ρ and Q: two blocks have other directions than the units' four, one has none."""
    run = problem(normalization, activation) | {"time": [1.0], "dimension": 20}
    chain = sbn.mesoscopic(**run, inputs=SPECTRUM, replicas=2000, seed=1)
    network = sbn.microscopic(**run, inputs=SPECTRUM, replicas=800, seed=2)
    assert smallest_p(numbers(chain), numbers(network)) > SMALLEST_P


@pytest.mark.parametrize(("units", "batch_size"), [(3, 2), (1, 4), (3, 6)])
def test_more_units_than_samples_or_less_and_narrow_blocks(units, batch_size):
    """With three units the first two blocks have less components than units, or one more."""
    run = problem("batch" if batch_size > 2 else "weight", "erf", units, batch_size)
    run |= {"time": [1.0], "dimension": 20}
    chain = sbn.mesoscopic(**run, inputs=SPECTRUM, replicas=2000, seed=1)
    network = sbn.microscopic(**run, inputs=SPECTRUM, replicas=800, seed=2)
    assert smallest_p(numbers(chain), numbers(network)) > SMALLEST_P


@pytest.mark.parametrize("normalization", ["none", "weight", "population", "batch", "ghost(3)"])
@pytest.mark.parametrize("eigenvalues", [[1.0], [1.0, 1.0, 1.0]])
def test_a_spectrum_of_ones_is_isotropic(normalization, eigenvalues):
    size = len(eigenvalues)
    inputs = sbn.Spectrum(eigenvalues, multiplicities=[24 // size] * size)
    run = problem(normalization, "relu", batch_size=6) | {"time": [1.0], "dimension": 24}
    isotropic = sbn.mesoscopic(**run, replicas=1500, seed=1)
    blocks = sbn.mesoscopic(**run, inputs=inputs, replicas=1500, seed=2)
    assert smallest_p(numbers(isotropic, ""), numbers(blocks, "")) > SMALLEST_P


@pytest.mark.parametrize("normalization", ["none", "weight", "population", "batch"])
def test_one_unit_is_a_committee_of_one(normalization):
    """The chain of blocks of one unit, another implementation."""
    scale = SCALE.get(normalization, 0.9)
    setup = sbn.TeacherStudent("erf", normalization, 5, 0.3, 0.05 * (scale < 1), 0.1)
    run = {"learning_rate": 0.7, "time": [2.0], "dimension": 20, "replicas": 3000,
           "inputs": SPECTRUM}  # fmt: skip
    one = sbn.mesoscopic(setup, start=sbn.OrderParameters(0.3, 0.9, scale), seed=1, **run)
    start = sbn.OrderParameters(student_teacher=[[0.27]], student_student=[[0.81]], gamma=scale)
    several = sbn.mesoscopic(setup, start=start, seed=2, **run)
    last = one.isel(learning_rate=0, time=-1)
    first = np.concatenate(
        [last.block_student_teacher, last.block_student_student, last.gamma.values[:, None],
         np.ones((3000, 1)), last.generalization_error.values[:, None]], axis=1,
    )  # fmt: skip
    assert smallest_p(first, numbers(several)) > SMALLEST_P


@pytest.mark.parametrize("level", [sbn.mesoscopic, sbn.microscopic])
def test_totals_are_those_of_the_start_and_of_the_blocks(level):
    run = problem("weight", "erf") | {"time": [0.0, 1.0], "dimension": 20}
    found = level(**run, inputs=SPECTRUM, replicas=3).isel(learning_rate=0)
    for name, expected in zip(("student_teacher", "student_student"),
                              run["start"].matrices(run["setup"]), strict=False):  # fmt: skip
        assert found[f"block_{name}"].dims == (*found[name].dims[:2], "block",
                                               *found[name].dims[2:])  # fmt: skip
        np.testing.assert_allclose(found[name], found[f"block_{name}"].sum("block"), atol=1e-14)
        for values in found[name].isel(time=0).values:
            np.testing.assert_allclose(values, expected, atol=1e-13)
    assert sbn.Spectrum.from_attrs(found.attrs) == SPECTRUM


def test_the_error_is_that_of_samples():
    """ε_g of fields against 10⁶ of them, without N weights; 5 standard errors."""
    run = problem("weight", "relu") | {"time": [1.0], "dimension": 20}
    found = sbn.mesoscopic(**run, inputs=SPECTRUM).isel(learning_rate=0, time=0, replica=0)
    along, among = (
        np.tensordot(SPECTRUM.eigenvalues, found[f"block_{name}"].values, 1)
        for name in ("student_teacher", "student_student")
    )
    gram = np.block([[SPECTRUM.teacher_variance * np.array(TEACHER), along.T], [along, among]])
    fields = np.random.default_rng(0).multivariate_normal(np.zeros(4), gram, 10**6)
    lengths = np.sqrt(np.diag(found["student_student"].values))
    outputs = np.maximum(fields[:, 2:] * found["gamma"].values / lengths, 0)
    labels = np.maximum(fields[:, :2], 0) @ [1, -0.5]
    errors = (labels - outputs @ found["readout"].values) ** 2 / 2
    off = abs(errors.mean() - found["generalization_error"].item())
    assert off < 5 * errors.std() / 1e3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "wrong"),
    [("sums[j] += (wanted - found) * direction[j]", "sums[j] += wanted * direction[j]"),
     ("draw_others(generator, blocks.others[block], others)",
      "draw_others(generator, blocks.others[block] + 2.0, others)"),
     ("turn *= root * root", "turn *= root")],
)  # fmt: skip
def test_a_slightly_wrong_chain_is_noticed(right, wrong, tmp_path, monkeypatch):
    step = importlib.import_module("statmech_bn.online.chain.committee_blocks_step")
    text = Path(step.__file__).read_text()
    assert text.count(right) == 1
    path = tmp_path / f"wrong_blocks_{len(wrong)}.py"
    path.write_text(text.replace(right, wrong))
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module(path.stem)
    monkeypatch.setattr("statmech_bn.online.chain.committee_blocks.simulate", module.simulate)
    run = problem("population", "relu") | {"time": [2.0], "dimension": 20, "learning_rate": 3.0}
    chain = sbn.mesoscopic(**run, inputs=SPECTRUM, replicas=10_000, seed=1)
    network = sbn.microscopic(**run, inputs=SPECTRUM, replicas=5_000, seed=2)
    assert smallest_p(numbers(chain), numbers(network)) < SMALLEST_P
