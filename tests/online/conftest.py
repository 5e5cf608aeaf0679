"""Where the tests of this folder find what they share."""

import importlib
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from statmech_bn.arrays import namespace
from statmech_bn.errors import NoDevice

sys.path.insert(0, str(Path(__file__).parent))

from host_cupy import HostCuPy


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture(params=["host", pytest.param("gpu", marks=pytest.mark.gpu)])
def device(request, monkeypatch, folder):
    """Let device="cuda" run on the host, or be what it says."""
    if request.param == "gpu":
        try:
            namespace("cuda")
        except NoDevice as missing:
            pytest.skip(str(missing))
        return
    if shutil.which("g++") is None:
        pytest.skip("no C++ compiler")
    module = importlib.import_module("statmech_bn.online.mesoscopic")
    host = HostCuPy(folder)
    monkeypatch.setattr(module, "namespace", lambda name: host if name == "cuda" else np)
