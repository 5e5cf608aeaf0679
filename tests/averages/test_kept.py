"""Series that are kept between processes are those that were made, or are made anew."""

import numpy as np
import pytest

from statmech_bn.activations import activation
from statmech_bn.averages import kept as module
from statmech_bn.averages.chebyshev import ChebyshevSeries
from statmech_bn.averages.kept import kept

RELU, TANH = activation("relu"), activation("tanh")


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "cache_folder", lambda: tmp_path)
    return tmp_path / module.FOLDER


@pytest.fixture
def make():
    def series():
        series.calls += 1
        return ChebyshevSeries(np.random.default_rng(series.calls).random((4, 3, 2)), 0.0, 2.0)

    series.calls = 0
    return series


def test_what_was_made_is_read_to_the_last_bit(folder, make):
    made, read = (kept(make, "averages", RELU, 8, 2.0) for _ in range(2))
    assert make.calls == 1
    assert np.array_equal(made.coefficients, read.coefficients)
    assert (read.lower, read.upper) == (0.0, 2.0)
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("other", [
    ("error", RELU, 8, 2.0), ("averages", TANH, 8, 2.0), ("averages", RELU, 9, 2.0),
    ("averages", RELU, None, 2.0), ("averages", RELU, 8, -2.0),
])  # fmt: skip
def test_what_is_asked_otherwise_is_another(folder, make, other):
    kept(make, "averages", RELU, 8, 2.0)
    kept(make, *other)
    assert make.calls == 2


def test_other_sources_make_another(folder, make, monkeypatch):
    kept(make, "averages", RELU, 8, 2.0)
    monkeypatch.setattr(module, "_origin", lambda: "other sources")
    kept(make, "averages", RELU, 8, 2.0)
    assert make.calls == 2


def test_that_there_is_none_is_kept(folder, make):
    assert kept(lambda: None, "averages", RELU, 8, 2.0) is None
    assert kept(make, "averages", RELU, 8, 2.0) is None
    assert make.calls == 0


@pytest.mark.parametrize(
    "harm", [lambda b: b[:-1], lambda b: b[:40] + b"x" + b[41:], lambda b: b""]
)
def test_a_harmed_file_is_made_anew(folder, make, harm):
    kept(make, "averages", RELU, 8, 2.0)
    [path] = folder.iterdir()
    path.write_bytes(harm(path.read_bytes()))
    kept(make, "averages", RELU, 8, 2.0)
    kept(make, "averages", RELU, 8, 2.0)
    assert make.calls == 2


@pytest.mark.parametrize("none", [True, False], ids=["none", "no folder"])
def test_without_a_place_they_are_made(monkeypatch, tmp_path, make, none):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(module, "cache_folder", lambda: None if none else tmp_path / "file")
    for _ in range(2):
        assert kept(make, "averages", RELU, 8, 2.0) is not None
    assert make.calls == 2
