"""Chebyshev series that are kept between processes, beside the compiled code.

A series takes seconds of integration, and is the same wherever the same code makes it of the same
activation. It lies in the folder of `statmech_bn.compile_cache`, by the rules of that folder, under
the checksum of what it follows from: the sources that integrate and compile, the versions of what
they stand on, the activation, the group and the range. A file that is cut short or garbled is made
anew. It holds numbers and nothing that is run.
"""

from __future__ import annotations

import functools
import hashlib
import io
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np
import sympy as sp

from statmech_bn.activations import Activation
from statmech_bn.averages.chebyshev import ChebyshevSeries
from statmech_bn.compile_cache import PACKAGE, PRIVATE, cache_folder

FOLDER = "series"
SOURCES = ("averages/*.py", "codegen/*.py", "activation*.py")
"""What a series follows from, besides what it is asked for."""
CHECKSUM = hashlib.sha256().digest_size


def kept(
    make: Callable[[], ChebyshevSeries | None],
    kind: str,
    activation: Activation,
    group: int | None,
    end: float,
) -> ChebyshevSeries | None:
    """Return a series for γ between 0 and `end` that was kept, or make it and keep it.

    Parameters
    ----------
    make : callable
        Makes the series, or returns None if there is none.
    kind : str
        What it is a series of.
    activation : Activation
    group : int or None
        Samples that share statistics.
    end : float
    """
    if (folder := cache_folder()) is None:
        return make()
    expression = sp.srepr(activation.expression)
    asked = repr((_origin(), kind, expression, tuple(activation.kinks), group, float(end)))
    path = folder / FOLDER / hashlib.sha256(asked.encode()).hexdigest()
    coefficients = _read(path)
    if coefficients is None:
        series = make()
        _write(path, np.empty((0, 0, 0)) if series is None else series.coefficients)
        return series
    return (
        ChebyshevSeries(coefficients, min(0.0, end), max(0.0, end)) if coefficients.size else None
    )


@functools.cache
def _origin() -> str:
    """Return a checksum of the sources, and the versions of what they stand on."""
    found = hashlib.sha256()
    for pattern in SOURCES:
        for path in sorted(PACKAGE.glob(pattern)):
            found.update(hashlib.sha256(path.read_bytes()).digest())
    versions = [f"{name} {version(name)}" for name in ("numpy", "numba", "sympy")]
    return f"{found.hexdigest()} {versions}"


def _read(path: Path) -> np.ndarray | None:
    """Return coefficients, None if there is no whole file."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    checksum, numbers = content[:CHECKSUM], content[CHECKSUM:]
    if hashlib.sha256(numbers).digest() != checksum:
        return None
    found: np.ndarray = np.load(io.BytesIO(numbers), allow_pickle=False)
    return found


def _write(path: Path, coefficients: np.ndarray) -> None:
    """Keep coefficients, if there is room; another process sees the whole file or none."""
    numbers = io.BytesIO()
    np.save(numbers, coefficients, allow_pickle=False)
    content = numbers.getvalue()
    with suppress(OSError):
        path.parent.mkdir(PRIVATE, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(content).digest() + content)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
