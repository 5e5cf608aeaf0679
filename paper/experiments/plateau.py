"""How long two units of a committee stay alike, and how far batch statistics mix them."""

from __future__ import annotations

import xarray as xr

from paper import stores
from paper.number import Claim, averaged, count, judged, number, setting

script = stores.script("plateau")


def lengthened(tree: xr.DataTree, other: str) -> xr.DataArray:
    """Return the length with batch normalization by another's, over batch sizes and replicas."""
    lengths = tree["batch_size"]["plateau_length"].load()
    return lengths.sel(normalization="batch") / lengths.sel(normalization=other)


def saddle(tree: xr.DataTree) -> xr.Dataset:
    """Return the law of the usual batch size, with the coupling of units."""
    return tree["penalty"].to_dataset().sel(terms="coupled", batch_size=script.BATCH_SIZE)


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return lengths, their growth with N, and mixing at the ends of the batch sizes."""
    runs = tree["batch_size"].to_dataset().load().sel(normalization="batch")
    slope = script.growth(tree).sel(normalization="batch")
    found = {
        "rate": setting(script.RATE),
        "batch_size": count(script.BATCH_SIZE),
        "replicas": count(runs.sizes["replica"]),
        "slope": averaged(slope),
        "expected": number(1 / (2 * float(saddle(tree)["escape_rate"]))),
    }
    for other in ("none", "weight"):
        ratio = lengthened(tree, other).mean("replica")
        found[f"{other}/low"] = number(float(ratio.min()))
        found[f"{other}/high"] = number(float(ratio.max()))
    for end, place in (("small", 0), ("large", -1)):
        found[f"{end}/size"] = count(runs["batch_size"][place])
        found[f"{end}/mixing"] = averaged(runs["mixing"].isel(batch_size=place))
        law = tree["penalty"]["mixing"].sel(terms="coupled").isel(batch_size=place)
        found[f"{end}/law"] = number(float(law), digits=2)
    decays = tree["batch_size"]["mixing"].load().sel(normalization="gamma decay")
    return found | {"decay/mixing": averaged(decays.isel(batch_size=-1))}


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge the law of the plateau, and gamma decay in several units."""
    asked = script.claims(tree)
    slope = script.growth(tree).sel(normalization="batch")
    expected = 1 / (2 * float(saddle(tree)["escape_rate"]))
    mixing = tree["batch_size"]["mixing"].load().isel(batch_size=-1)
    batch, decay = (mixing.sel(normalization=kind) for kind in ("batch", "gamma decay"))
    return [
        judged(
            r"A plateau lasts $\ln N/(2\lambda_s)$", "SaadSolla1995",
            r"slope of its length in $\ln N$ with batch normalization; law: $1/(2\lambda_s)$ of "
            "the error with its penalty",
            rf"slope {averaged(slope)}, law {number(expected)}",
            *asked["the plateau grows as ln N/(2λ_s)"],
        ),
        judged(
            r"Batch statistics are gamma decay $\zeta\gamma^2$, in two units as well", "Luo2019",
            "mixing of the units at the end with the decay that batch statistics are worth in one "
            "unit, less that without decay; law: as with batch statistics",
            rf"at $M={int(mixing['batch_size'])}$ mixing is {averaged(decay)} by the decay and "
            rf"{averaged(batch)} by batches",
            *asked["gamma decay ζγ² of each unit mixes as batch statistics do"],
        ),
    ]  # fmt: skip
