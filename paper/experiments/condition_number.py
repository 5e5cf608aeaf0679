"""Which learning rates learn on inputs of a condition number, and how long it takes."""

from __future__ import annotations

import numpy as np
import xarray as xr

from paper import stores
from paper.number import Claim, count, judged, number, setting

script = stores.script("condition_number")

KINDS = ("none", "batch")


def widest(tree: xr.DataTree, kind: str) -> dict[str, float]:
    """Return what the largest condition number does to one student, N → ∞."""
    shortest = script.best(tree, "flow").sel(normalization=kind)
    last = {"normalization": kind, "condition_number": shortest["condition_number"][-1]}
    return {
        "slower": float(shortest[-1] / shortest[0]),
        "good": float(script.good_rates(tree).sel(last)),
        "modes": float(tree["modes"]["along_teacher"].sel(last)),
    }


def beyond(tree: xr.DataTree, level: str) -> xr.DataArray:
    """Return the share of rates too large for the student without normalization that learn."""
    plain = tree["flow"]["hundredth"].load().sel(normalization="none", drop=True)
    rates = plain["learning_rate"]
    too_large = rates > rates.where(plain.notnull()).max("learning_rate")
    times = tree[level]["hundredth"].load().sel(normalization="batch", drop=True)
    return times.notnull().where(too_large).mean("learning_rate")


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return learning times, ranges of learning rates and condition numbers."""
    found = {
        "largest": setting(tree["flow"]["condition_number"][-1]),
        "dimension": count(tree["chain"].attrs["dimension"]),
        "near": setting(script.NEAR_BEST),
    }
    for kind in KINDS:
        values = widest(tree, kind)
        found |= {f"{kind}/{key}": number(value, digits=2) for key, value in values.items()}
    return found


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge learning rates and condition numbers."""
    shares = {level: beyond(tree, level) for level in ("flow", "chain")}
    modes = tree["modes"]["along_teacher"].load().isel(condition_number=slice(1, None))
    less = np.log(modes.sel(normalization="none") / modes.sel(normalization="batch"))
    learned = {level: number(100 * float(share.mean())) for level, share in shares.items()}
    plain, normalized = (widest(tree, kind)["modes"] for kind in KINDS)
    return [
        judged(
            "Batch normalization learns at any learning rate", "Cai2019",
            r"share that learn of the rates at which students without normalization do not, as "
            r"they diverge, for each $\kappa$, by flow and chain; law: all of them",
            rf"of rates up to {setting(tree['flow']['learning_rate'][-1])} {learned['flow']}\,\%, "
            rf"at $N={int(tree['chain'].attrs['dimension'])}$ {learned['chain']}\,\%",
            list(shares.values()), [1.0 - share for share in shares.values()],
        ),
        judged(
            "Its condition number near the solution is not larger", "Cai2019",
            r"$\ln$ of the condition number of the mean dynamics in the space of the teacher's "
            "blocks, without normalization less with it",
            rf"{number(normalized, digits=2)}, without {number(plain, digits=2)}",
            less,
        ),
    ]  # fmt: skip
