r"""Residual blocks x ← x + aF(x) in wide random networks: growth of fields and of gradients.

Branches F have one layer of weights of variance σ_w²/width, with σ_w² E g(u)² = 1. With q the mean
square of x, before the first block 1, κ(c) = E[g(u)g(v)] as in `statmech_bn.depth.correlation`, and
V = σ_w² (κ(1) − κ(0)), the part of a branch's variance that is not common to all samples:

    "none"    F = W g(x)      q' = q + a²σ_w² E g(√q u)²,   growth 1 + a²σ_w² E g'(√q u)²
    "branch"  F = W g(BN(x))  q' = q + a²,  s' = s + a²V,   growth 1 + a²σ_w² E g'²/s
    "before"  F = BN(W g(x))  q' = q + a²,                  growth 1 + a² E g'(√q u)²/Var g(√q u)
    "behind"  x ← BN(x + aF)  q' = 1,                       growth (1 + a²σ_w² E g'²)/(1 + a²V)

"before" and "behind" say where the normalization is, before or behind the sum, with F = W g(x) in
"behind". s is the variance of x over the batch. The growth is that of a gradient's mean square on
its way back through a block; inputs are unrelated, batches large. A block passes only a share 1/q
of normalized branches: with χ = E g'²/Var g gradients grow like a power of the depth (χ for
"branch" and a homogeneous g; De & Smith 2020 saw the shares), where without normalization and
behind the sum they grow exponentially. a = 0 (SkipInit) and a = 1/√depth need no normalization.

Sources: Yang & Schoenholz 2017, De & Smith 2020; the powers are this project's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy as sp
import xarray as xr

from statmech_bn.activations import Activation, z
from statmech_bn.activations import activation as as_activation
from statmech_bn.checks import check_memory, choice, count, integer, real
from statmech_bn.codegen import numpy_function
from statmech_bn.dataset import describe
from statmech_bn.depth.correlation import LARGEST_VARIANCE
from statmech_bn.depth.kernel import kernel
from statmech_bn.depth.network import keeping_gain
from statmech_bn.errors import NotConverged
from statmech_bn.layers import batch_norm_backward, batch_norm_forward
from statmech_bn.random.streams import stream

PLACES = ("none", "branch", "before", "behind")
EPSILON = 1e-12
"""Added to variances, which vanish for a dead unit."""
LARGEST_SCALE = 1e6
"""Branches weigh no more than this."""


def residual_growth(
    activation: str | sp.Expr | Activation, place: str, depth: int, branch_scale: float = 1.0
) -> xr.Dataset:
    """Predict fields and gradients in a wide network of residual blocks.

    Parameters
    ----------
    activation : str, sympy.Expr or Activation
    place : {"none", "branch", "before", "behind"}
        Where the normalization is.
    depth : int
        Number of blocks, ≥ 1.
    branch_scale : float
        a ≥ 0.

    Returns
    -------
    xarray.Dataset
        ``field_square`` and ``gradient_square`` over ``depth`` = 0 … depth, behind so many blocks;
        gradients relative to those behind the last block.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.
    NotConverged
        Fields grow beyond what floats hold.

    Examples
    --------
    >>> found = residual_growth("relu", "branch", depth=2)
    >>> found["field_square"].values, found["gradient_square"].values.round(3)
    (array([1., 2., 3.]), array([3.189, 1.595, 1.   ]))
    """
    g, depth, a = _checked(activation, place, depth, branch_scale)
    weight = keeping_gain(g) ** 2
    common, own = float(kernel(g, 0.0)), float(kernel(g, 1.0))
    slopes = float(kernel(g, 1.0, slopes=True))
    field, growth, spread = np.ones(depth + 1), np.ones(depth), 1.0
    for block in range(depth):
        q = field[block]
        if place == "none":
            added = a**2 * weight * float(kernel(g, 1.0, q))
            growth[block] = 1 + a**2 * weight * float(kernel(g, 1.0, q, slopes=True))
        elif place == "branch":
            added = a**2
            growth[block] = 1 + a**2 * weight * slopes / spread
            spread += a**2 * weight * (own - common)
        elif place == "before":
            added = a**2
            varies = float(kernel(g, 1.0, q)) - float(kernel(g, 0.0, q))
            growth[block] = 1 + a**2 * float(kernel(g, 1.0, q, slopes=True)) / varies
        else:
            added = 0.0
            growth[block] = 1 + a**2 * weight * slopes
            growth[block] /= 1 + a**2 * weight * (own - common)
        field[block + 1] = q + added
        if not field[block + 1] < LARGEST_VARIANCE:
            raise NotConverged(f"Fields overflow in block {block + 1}: lower the branch_scale.")
    with np.errstate(over="ignore"):
        square = np.append(np.cumprod(growth[::-1])[::-1], 1.0)
    if not np.isfinite(square).all():
        raise NotConverged("Gradients overflow: lower the depth or the branch_scale.")
    attributes: dict[str, Any] = {"level": "macroscopic", "activation": g.to_text(), "place": place}
    return _dataset(field, square, (), attributes)


def measure_residual(
    activation: str | sp.Expr | Activation,
    place: str,
    depth: int,
    branch_scale: float = 1.0,
    width: int = 100,
    batch_size: int = 100,
    networks: int = 4,
    seed: int = 0,
) -> xr.Dataset:
    """Measure fields and gradients in random networks of residual blocks.

    Parameters
    ----------
    activation : str, sympy.Expr or Activation
    place : {"none", "branch", "before", "behind"}
        Where the normalization is.
    depth : int
        Number of blocks, ≥ 1.
    branch_scale : float
        a ≥ 0.
    width, batch_size : int
        Units, ≥ 2, and unrelated inputs, ≥ 4.
    networks : int
        Independent networks, the replicas.
    seed : int

    Returns
    -------
    xarray.Dataset
        As from `residual_growth`, over ``replica`` and ``depth``.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.
    NotConverged
        Fields or gradients are no floats.

    Examples
    --------
    >>> found = measure_residual("relu", "branch", depth=2, networks=2)
    >>> found["field_square"].mean("replica").values.round()
    array([1., 2., 3.])
    """
    g, depth, a = _checked(activation, place, depth, branch_scale)
    width, size = count("width", width, 2), count("batch_size", batch_size, 4)
    networks, seed = count("networks", networks), integer("seed", seed, 0)
    held = (depth + 1.0) * (2 * networks + width * (width + 3.0 * size))
    check_memory("depth, width, batch_size, networks", held)
    function = numpy_function([g.expression, g.derivative], [z])
    gain = keeping_gain(g) / np.sqrt(width)
    ones, zeros = np.ones(width), np.zeros(width)
    field, square = np.empty((2, networks, depth + 1))
    for network in range(networks):
        generator = stream(seed, 34, network)
        x, _ = batch_norm_forward(generator.standard_normal((size, width)), ones, zeros, EPSILON)
        field[network, 0], blocks = np.mean(x**2), []
        for block in range(depth):
            weights = a * gain * generator.standard_normal((width, width))
            below: np.ndarray = x
            cache: Any = None
            if place == "branch":
                below, cache = batch_norm_forward(x, ones, zeros, EPSILON)
            value, slope = function(below)
            branch = value @ weights
            if place == "before" and a > 0:
                branch, cache = batch_norm_forward(branch, a * ones, zeros, a**2 * EPSILON)
            x = x + branch
            if place == "behind":
                x, cache = batch_norm_forward(x, ones, zeros, EPSILON)
            blocks.append((weights, slope, cache))
            field[network, block + 1] = np.mean(x**2)
        delta = generator.standard_normal((size, width))
        square[network, -1] = np.mean(delta**2)
        for block in reversed(range(depth)):
            weights, slope, cache = blocks[block]
            if place == "behind":
                delta = batch_norm_backward(delta, cache)[0]
            inner = delta
            if place == "before" and cache is not None:
                inner = batch_norm_backward(inner, cache)[0]
            inner = (inner @ weights.T) * slope
            if place == "branch":
                inner = batch_norm_backward(inner, cache)[0]
            delta = delta + inner
            square[network, block] = np.mean(delta**2)
    if not (np.isfinite(field).all() and np.isfinite(square).all()):
        raise NotConverged("Fields or gradients overflow: lower the depth or the branch_scale.")
    attributes: dict[str, Any] = {"level": "microscopic", "activation": g.to_text(), "place": place}
    attributes |= {"width": width, "batch_size": size, "seed": seed}
    return _dataset(field, square / square[:, -1:], ("replica",), attributes)


def _checked(
    activation: str | sp.Expr | Activation, place: str, depth: int, branch_scale: float
) -> tuple[Activation, int, float]:
    choice("place", place, PLACES)
    scale = real("branch_scale", branch_scale, 0.0, LARGEST_SCALE)
    return as_activation(activation), count("depth", depth), scale


def _dataset(
    field: np.ndarray, square: np.ndarray, dims: tuple[str, ...], attributes: dict[str, Any]
) -> xr.Dataset:
    data = {"field_square": field, "gradient_square": square}
    found = xr.Dataset(
        {name: ((*dims, "depth"), values) for name, values in data.items()},
        {"depth": np.arange(field.shape[-1])},
        attributes,
    )
    if dims:
        found = found.assign_coords(replica=np.arange(field.shape[0]))
    return describe(found)
