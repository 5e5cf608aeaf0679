"""Committees: the chain against numbers of another implementation, N-vectors, and one unit."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
import sympy as sp

import statmech_bn as sbn
from statmech_bn.online.chain import committee, committee_step

sys.path.insert(0, str(Path(__file__).parent))
from committees import CASES, NAMES, SMALLEST_P, numbers, setup_and_run, smallest_p

pytestmark = pytest.mark.thorough


def name(case):
    return case["case"]


@pytest.mark.parametrize("case", CASES, ids=name)
@pytest.mark.parametrize(("part", "replicas"), [("small_N", 4000), ("large_N", 24)])
def test_chain_agrees_with_the_reference(case, part, replicas):
    """Means within 4.5 standard errors of both, spreads within 5 of theirs (540 numbers)."""
    setup, run = setup_and_run(case)
    given = case[part]
    found = sbn.mesoscopic(
        setup, time=given["time"], dimension=given["dimension"], replicas=replicas, seed=1, **run
    )
    for time, reference in enumerate(given["mean, std"]):
        for variable in NAMES:
            values = found[variable].isel(learning_rate=0, time=time).values
            mean, std = map(np.array, reference[variable])
            share = np.sqrt(1 / replicas + 1 / given["runs"])
            rounding = 2e-5  # of numbers given to five digits
            deviation = np.abs(values.mean(axis=0) - mean)
            np.testing.assert_array_less(deviation, 4.5 * std * share + rounding)
            if part == "large_N" or not std.any():
                continue
            centred = values - values.mean(axis=0)
            variance = (centred**2).mean(axis=0)
            kurtosis = (centred**4).mean(axis=0) / variance**2
            allowed = 5 * std * np.sqrt(np.maximum(kurtosis - 1, 0) / 4) * share + rounding
            np.testing.assert_array_less(np.abs(np.sqrt(variance) - std), allowed)


@pytest.mark.parametrize(
    ("normalization", "batch_size", "activation"),
    [("none", 1, "erf"), ("weight", 4, "relu"), ("population", 2, "tanh"), ("batch", 6, "relu"),
     ("ghost(3)", 6, "erf")],
)  # fmt: skip
def test_one_unit_is_a_committee_of_one(normalization, batch_size, activation):
    """In law: 3000 runs of each chain at N = 9."""
    decay = 0.0 if normalization == "none" else 0.05
    setup = sbn.TeacherStudent(activation, normalization, batch_size, 0.3, decay, 0.1)
    run = {"learning_rate": 0.8, "time": [2.0], "dimension": 9, "replicas": 3000}
    scale = 1.0 if normalization == "none" else 0.9
    one = sbn.mesoscopic(setup, start=sbn.OrderParameters(0.3, 0.9, scale), seed=1, **run)
    matrices = sbn.OrderParameters(student_teacher=[[0.27]], student_student=[[0.81]], gamma=scale)
    general = sbn.mesoscopic(setup, start=matrices, seed=2, **run)
    first = np.concatenate(
        [(one.overlap * one.length).values[0], one.length.values[0] ** 2, one.gamma.values[0],
         np.ones((3000, 1))], axis=1,
    )  # fmt: skip
    assert smallest_p(first, numbers(general)) > SMALLEST_P
    errors = [d.generalization_error.values.reshape(-1, 1) for d in (one, general)]
    assert smallest_p(*errors) > SMALLEST_P


SIZES = [(1, 1), (2, 2), (2, 3), (3, 2)]
x = sp.Symbol("x")
GELU = x * (1 + sp.erf(x / sp.sqrt(2))) / 2


def with_everything(units, teachers, normalization, batch_size, activation):
    """Correlated teacher, noise, decays, γ and a second layer that learn: setup and arguments."""
    size = units + teachers
    rows = 0.1 + np.random.default_rng(size).standard_normal((size, 8)) / np.sqrt(8)
    gram = rows @ rows.T
    has_scale = normalization != "none"
    setup = sbn.TeacherStudent(
        activation, normalization, batch_size, 0.3, 0.05 * has_scale, 0.1, student_units=units,
        teacher_units=teachers, teacher_overlaps=gram[:teachers, :teachers],
        teacher_readout=np.linspace(1, -0.5, teachers), readout="learned",
    )  # fmt: skip
    start = sbn.OrderParameters(
        student_teacher=gram[teachers:, :teachers], student_student=gram[teachers:, teachers:],
        gamma=1 - 0.1 * has_scale, readout=np.linspace(0.7, 0.4, units),
    )  # fmt: skip
    return setup, {
        "learning_rate": 0.7, "time": [2.0], "start": start, "gamma_learning_rate": 0.5,
        "readout_learning_rate": 0.4,
    }  # fmt: skip


def compare(case, dimension=12, replicas=(3000, 1000)):
    setup, run = with_everything(*case)
    chain = sbn.mesoscopic(setup, dimension=dimension, replicas=replicas[0], seed=1, **run)
    network = sbn.microscopic(setup, dimension=dimension, replicas=replicas[1], seed=2, **run)
    return smallest_p(numbers(chain), numbers(network))


@pytest.mark.parametrize(
    "case",
    [(1, 1, "batch", 6, "erf"), (2, 2, "weight", 6, "relu"), (2, 3, "none", 1, "erf"),
     (3, 2, "batch", 6, "relu"), (3, 2, "population", 1, GELU), (2, 2, "ghost(3)", 6, "erf")],
    ids=str,
)  # fmt: skip
def test_chain_and_network_have_the_same_law(case):
    assert compare(case) > SMALLEST_P


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["relu", "erf", GELU], ids=str)
@pytest.mark.parametrize("batch_size", [1, 6])
@pytest.mark.parametrize("normalization", ["none", "weight", "population", "batch"])
@pytest.mark.parametrize("units", SIZES, ids=str)
@pytest.mark.parametrize("dimension", [12, 30])
def test_chain_and_network_have_the_same_law_everywhere(
    units, normalization, batch_size, activation, dimension
):
    if normalization == "batch" and batch_size == 1:
        pytest.skip("one sample has no spread")
    assert compare((*units, normalization, batch_size, activation), dimension) > SMALLEST_P


@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "wrong"),
    [("others[i, j] = generator.standard_normal()", "others[i, j] = 0.0"),
     ("freedom = directions - i", "freedom = directions"),
     ("student.turn[k] = unit * scale[k] * pull", "student.turn[k] = 0.0 * pull")],
)  # fmt: skip
def test_a_slightly_wrong_chain_is_noticed(right, wrong, tmp_path, monkeypatch):
    """Without the Wishart's entries off the diagonal, and others, the comparison fails."""
    text = Path(committee_step.__file__).read_text()
    assert text.count(right) == 1
    path = tmp_path / f"wrong_{len(wrong)}.py"
    path.write_text(text.replace(right, wrong))
    spec = spec_from_file_location(path.stem, path)
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(committee, "simulate", module.simulate)
    assert compare((3, 2, "weight", 6, "relu"), 8, (20_000, 5_000)) < SMALLEST_P
