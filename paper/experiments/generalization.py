"""Generalization from finite training sets, and whether batch normalization is a ridge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

import statmech_bn as sbn
from paper import stores
from paper.number import Claim, averaged, count, judged, number, setting

script = stores.script("generalization")

SIZE = script.SHOWN


@dataclass(frozen=True)
class Comparison:
    """Batch normalization at one load and batch size beside ridge regression and its own theory."""

    load: float
    batch_size: int
    error: xr.DataArray
    plain: xr.DataArray
    ridge: xr.DataArray
    theory: float

    @property
    def gain(self) -> xr.DataArray:
        """By how much the error is below that without normalization on the same data."""
        return (self.plain - self.error).reset_coords(drop=True)

    @property
    def from_ridge(self) -> xr.DataArray:
        """Distance from the ridge on the same data."""
        return (self.error - self.ridge).reset_coords(drop=True)

    @property
    def from_theory(self) -> xr.DataArray:
        """Distance from the own theory."""
        return (self.error - self.theory).reset_coords(drop=True)


def comparisons(tree: xr.DataTree) -> list[Comparison]:
    """Compare at all loads and batch sizes."""
    found = []
    plain = script.simulation(tree, "linear", "none")["generalization_error"]
    for size in script.BATCH_SIZES:
        batch = script.simulation(tree, "linear", f"batch_{size}")
        ridge = script.simulation(tree, "linear", f"population_{size}")["generalization_error"]
        for load in batch["load"].values:
            one = batch.sel(load=load)
            growth = float(one["growth"].mean())
            own = sbn.offline.batch_normalized(
                load, size, script.LABEL_NOISE, growth, uneven_weights=True
            )
            found.append(
                Comparison(
                    load,
                    size,
                    one["generalization_error"],
                    plain.sel(load=load),
                    ridge.sel(load=load),
                    own,
                )
            )
    return found


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return errors at the lowest load, and how often theory and ridge are missed."""
    found = comparisons(tree)
    [low] = [c for c in found if c.batch_size == SIZE and c.load == _middle(tree)]
    off, own = (
        np.abs(sbn.study.distances([getattr(c, name) for c in found]))
        for name in ("from_ridge", "from_theory")
    )
    worst, worst_own = found[int(off.argmax())].from_ridge, found[int(own.argmax())].from_theory
    ratios = script.digit_table(tree)["ratio"]
    return {
        "dimension": count(tree["unbatched"].attrs["dimension"]),
        "replicas": count(tree["unbatched"].sizes["replica"]),
        "label_noise": setting(script.LABEL_NOISE),
        "size": count(SIZE),
        "load": setting(low.load),
        "error": averaged(low.error),
        "ridge": averaged(low.ridge),
        "theory": number(float(low.theory)),
        "points": count(len(found)),
        "not_ridge": count(int((off > 1).sum())),
        "not_theory": count(int((own > 1).sum())),
        "from_theory": averaged(worst_own),
        "from_ridge": averaged(worst),
        "components": count(script.COMPONENTS),
        "digits_low": number(ratios.min(), digits=2),
        "digits_high": number(ratios.max(), digits=2),
    }


def _middle(tree: xr.DataTree) -> float:
    """Return the load below 1 closest to one half, which both presets have."""
    loads = tree[f"batch_{SIZE}"]["load"].values
    return float(loads[np.argmin(np.abs(loads - 0.5))])


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge whether batch normalization generalizes as ridge regression does."""
    found = comparisons(tree)
    missed, own = (
        int((np.abs(sbn.study.distances([getattr(c, name) for c in found])) > 1).sum())
        for name in ("from_ridge", "from_theory")
    )
    text = (
        rf"{count(missed)} of {count(len(found))} points are off the ridge, "
        rf"{count(own)} off our theory"
    )
    return [
        judged(
            r"On finite training sets it is ridge regression with $\lambda_r=2\alpha\zeta$",
            "Luo2019",
            r"$\varepsilon_g$ of the unnormalized student on the same data, less that with batch "
            r"normalization, at each $\alpha$ and $M$; law: $\varepsilon_g$ of the ridge",
            text, [c.gain for c in found], [c.from_ridge for c in found],
        )
    ]  # fmt: skip
