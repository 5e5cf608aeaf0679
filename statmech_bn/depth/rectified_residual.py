r"""Residual blocks x ← ReLU(x + f(x)) of wide random networks, as He et al. (2016) had them first.

The branch f has two maps, each before a batch normalization, with ReLU between them. What it adds
to a unit is a unit Gaussian z, drawn anew in each block and for each of many unrelated inputs, so
that a unit's x is a random walk that is reflected,

    x₀ = max(z₀, 0),    x_l = max(x_{l−1} + z_l, 0).

With σ_w² = 2 the branch's normalizations divide by 2 Var x and by 1 − 1/π, and a gradient's mean
square at a unit that has x,

    G_{l−1}(x) = E_z[θ(x + z) G_l(x + z)] + (χ/Var x_{l−1}) E[θ(x_l) G_l(x_l)],    G_L = 1,

is what passes by the skip connection, where the unit stays active, and what the branch brings to
all units alike; χ = π/(π − 1). The law of x and G are vectors on a grid, and an atom at x = 0. As
in Spitzer's identities for a walk of n = l + 1 steps, P(x_l = 0) = C(2n, n)/4ⁿ and
E x_l = Σ_{k≤n} (2πk)^(−1/2): at a depth l a share (πl)^(−1/2) of the units is off.

In deep networks gradients grow like l^p: the walk is Brownian, stationary in units of √l, and stays
active from k to l with the probability (2/π) arcsin √(k/l) (Slepian 1962), so that

    1 = c ∫₀^∞ e^(−pt) (2/π) arcsin e^(−t/2) dt = (c/p)[1 − B(p + ½, ½)/π],   c = χ/(1 − 2/π).

Sources: Yang & Schoenholz 2017 for the kind of theory; the walk is this project's.
"""

from __future__ import annotations

import math

import numpy as np
import xarray as xr

from statmech_bn.checks import integer
from statmech_bn.dataset import describe

MULTIPLIER = math.pi / (math.pi - 1)
"""χ of ReLU layers between batch normalizations."""
SPACING, REACH = 0.02, 8.0
"""Points of the grid are so far apart; it ends so many standard deviations of the walk away."""
MOST_BLOCKS = 200
"""The grid of more blocks would not fit into memory."""


def rectified_residual_growth(depth: int) -> xr.Dataset:
    """Predict fields and gradients of residual blocks with ReLU behind the sum.

    Parameters
    ----------
    depth : int
        Number of blocks, from 1 to 200.

    Returns
    -------
    xarray.Dataset
        Over ``depth`` = 0 … depth, behind so many blocks: ``field_square``, the mean of x²;
        ``inactive``, the share of units with x = 0; and ``gradient_square``, relative to that
        behind the last block.

    Raises
    ------
    InvalidSetup
        The depth is outside of its range.

    Examples
    --------
    >>> found = rectified_residual_growth(2)
    >>> found["inactive"].values.round(4), found["gradient_square"].values.round(3)
    (array([0.5   , 0.375 , 0.3125]), array([7.46 , 2.138, 1.   ]))
    """
    blocks = integer("depth", depth, 1, maximum=MOST_BLOCKS)
    x = SPACING * (np.arange(math.ceil(REACH * math.sqrt(blocks + 1) / SPACING)) + 0.5)
    passed = _density(x[:, None] - x) * SPACING
    atom, law = [0.5], [_density(x)]
    for _ in range(blocks):
        law.append(passed @ law[-1] + atom[-1] * _density(x))
        atom.append(1 - law[-1].sum() * SPACING)
    mean, square = ((np.array(law) @ x**n) * SPACING for n in (1, 2))
    variance = square - mean**2
    gradient, at_zero = np.ones(len(x)), 1.0
    sizes = [1.0]
    for block in range(blocks, 0, -1):
        branch = MULTIPLIER / variance[block - 1] * (law[block] @ gradient) * SPACING
        at_zero = _density(x) @ gradient * SPACING + branch
        gradient = passed.T @ gradient + branch
        sizes.append(law[block - 1] @ gradient * SPACING + atom[block - 1] * at_zero)
    data = {"field_square": square, "inactive": np.array(atom), "gradient_square": sizes[::-1]}
    return describe(
        xr.Dataset(
            {name: ("depth", np.asarray(values)) for name, values in data.items()},
            {"depth": np.arange(blocks + 1)},
            {"level": "macroscopic", "activation": "relu", "place": "rectified"},
        )
    )


def _density(z: np.ndarray) -> np.ndarray:
    return np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
