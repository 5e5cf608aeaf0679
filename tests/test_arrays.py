"""The array library of a device."""

import sys

import numpy as np
import pytest

import statmech_bn as sbn
from statmech_bn import arrays


def test_the_processor_computes_with_numpy():
    assert arrays.namespace("cpu") is np
    assert arrays.to_numpy([1.0, 2.0]).sum() == 3.0


def test_an_unknown_device_is_named():
    with pytest.raises(
        sbn.errors.InvalidSetup, match=r"device: expected one of cpu, cuda, got 'tpu'"
    ):
        arrays.namespace("tpu")


def test_without_cupy_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(sbn.errors.NoDevice, match=r"pip install .*cuda13"):
        arrays.namespace("cuda")


def test_without_a_gpu_the_error_says_so(monkeypatch):
    class Unusable:
        is_available = staticmethod(lambda: False)

    monkeypatch.setitem(sys.modules, "cupy", Unusable)
    with pytest.raises(sbn.errors.NoDevice, match="found none"):
        arrays.namespace("cuda")


def test_a_library_has_a_name_and_a_version():
    assert arrays.library(np) == f"numpy {np.__version__}"


@pytest.mark.gpu
def test_a_gpu_computes_with_cupy():
    xp = arrays.namespace("cuda")
    assert arrays.to_numpy(xp.arange(4.0)).sum() == 6.0
