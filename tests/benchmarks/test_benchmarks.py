"""The loops of the benchmarks compute what the package does; tables are those of the results."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

import statmech_bn as sbn

pytestmark = pytest.mark.thorough

FOLDER = Path(sbn.__file__).parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


@pytest.mark.parametrize("normalization", ["none", "weight", "batch"])
@pytest.mark.parametrize("module", ["references", "torch_references"])
def test_loops_agree_with_the_levels(load, module, normalization):
    """Means of (R, L, γ) over runs with fixed seeds, within 4 standard errors."""
    if module == "torch_references":
        pytest.importorskip("torch")
    setup = sbn.TeacherStudent("relu", normalization, 8, label_noise=0.5)
    for level, runs in (("microscopic", 40), ("mesoscopic", 1000)):
        loop = getattr(load(module), level)
        assert load("references").agreement(setup, level, loop, runs) < 4


@pytest.mark.parametrize("normalization", ["none", "batch"])
@pytest.mark.parametrize("loop", ["by_numpy", "by_torch"])
def test_loops_of_committees_agree_with_the_simulation(load, loop, normalization):
    """Means of ρ, Q and γ over 60 runs of each at N = 50, within 4.5 standard errors."""
    if loop == "by_torch":
        pytest.importorskip("torch")
    loops = load("committee_loops")
    setup = sbn.TeacherStudent(
        "erf", normalization, 6, 0.3, student_units=2, teacher_units=2,
        teacher_overlaps=[[1.0, 0.3], [0.3, 1.2]],
    )  # fmt: skip
    found = getattr(loops, loop)(setup, 0.8, 100, 50, 60)
    teacher, w = loops.weights(setup, 50, 60)
    for values, own, other in zip(found[:2], (w, w), (teacher, w), strict=False):
        first = own @ other.swapaxes(1, 2) / 50
        assert (values != first).all()
    ours = []
    for rho, q in zip(w @ teacher.swapaxes(1, 2) / 50, w @ w.swapaxes(1, 2) / 50, strict=True):
        start = sbn.OrderParameters(student_teacher=rho, student_student=q)
        run = sbn.mesoscopic(setup, 0.8, [2.0], start, 50, seed=len(ours))
        ours.append(
            [run[n].values.ravel() for n in ("student_teacher", "student_student", "gamma")]
        )
    for mine, values in zip(zip(*ours, strict=True), found, strict=True):
        off = np.array(mine) - values.reshape(60, -1)
        error = off.std(axis=0) / np.sqrt(60)
        assert (np.abs(off.mean(axis=0)) <= 4.5 * error).all()


def test_flow_by_hand(load):
    setup = sbn.TeacherStudent("relu", "weight", 32, label_noise=0.5, gamma_decay=0.05)
    start, time = sbn.OrderParameters(0.2), np.linspace(0, 5, 6)
    ours = sbn.macroscopic(setup, 1.0, time, start)
    plain = load("references").macroscopic(setup, 1.0, time, start)
    for name, values in zip(("overlap", "length", "gamma"), plain, strict=True):
        np.testing.assert_allclose(ours[name][0], values, rtol=1e-6)


def test_tables_are_those_of_the_results(load):
    report = load("report")
    for readme in report.READMES:
        assert report.filled(readme.read_text()) == readme.read_text()


def test_a_table_of_results(load, monkeypatch, tmp_path):
    report = load("report")
    monkeypatch.setattr(report, "HERE", tmp_path)
    (tmp_path / "results").mkdir()
    rows = [{"N": 1000, "ratio": [2.0, 1.0, 3.14159]}, {"N": 10, "floor": "products"}]
    content = {"machine": {"date": "today"}, "tables": {"Title": rows}}
    (tmp_path / "results" / "offline.json").write_text(json.dumps(content))
    text = report.filled("<!-- benchmark offline -->\nold\n<!-- end -->")
    assert "date today." in text
    assert "### Title\n\n| N | ratio | floor |\n|---|---|---|\n" in text
    assert "| 1000 | 2 [1 – 3.14] |  |\n| 10 |  | products |" in text
    assert report.NO_GPU in text
    assert "old" not in text


def test_floors_count_every_part(load):
    """The same parts, whatever is timed: draws of both, products and memory of the N weights."""
    floors = load("floors")
    chain = floors.parts(floors.Case("mesoscopic"))
    sums = floors.parts(floors.Case("microscopic", N=10**6, M=2, rates=3))
    small = floors.parts(floors.Case("microscopic", N=100, M=2, dtype="float32"))
    large = floors.parts(floors.Case("microscopic", N=10**5, M=2, rates=3, dtype="float32"))
    assert list(chain) == ["random numbers"]
    assert list(sums) == ["random numbers", "memory"]
    assert sums["memory"].steps == pytest.approx(2 * floors.COPIED / (10 * 10**6))
    assert list(small) == ["random numbers", "products"]
    assert list(large) == ["random numbers", "products", "memory"]
    # 3MN + N + 2NK numbers of a step, of twice those of the copied array
    assert large["memory"].steps == pytest.approx(2 * floors.COPIED / (13 * 10**5))
    for part in (*chain.values(), *small.values()):
        part.work()
