"""Batch, population and weight normalization in a residual network, and correlations of units."""

from __future__ import annotations

import numpy as np
import xarray as xr

from paper import stores
from paper.number import Claim, averaged, count, judged, number

script = stores.script("network_regularization")


def closing(tree: xr.DataTree) -> list[tuple[xr.DataArray, xr.DataArray]]:
    """Return how the published decay nears PN to BN, and what is left, for each quantity."""
    found, _ = script.opened(tree)
    pairs = (script.closing(found, name, "independent") for name in script.QUANTITIES)
    return [pair for pair in pairs if pair]


def kept(tree: xr.DataTree) -> xr.DataArray:
    """Return what batches keep of the correlation of random units."""
    return tree["units"]["correlation_kept"].load().sel(kind="batch", drop=True)


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return what batch normalization has more than PN, and PN with decay, in small batches."""
    found, _ = script.opened(tree)
    small = found.isel(batch_size=[0])
    texts = {
        "small": count(found["batch_size"][0]),
        "large": count(found["batch_size"][-1]),
        "replicas": count(found.sizes["replica"]),
    }
    for name in script.QUANTITIES:
        by = script.gaps(small, name)
        for kind in ("batch", *script.THEORIES, "weight"):
            texts[f"{name}/{kind}"] = averaged(by[kind].isel(batch_size=0))
    theory = tree["units"]["theory"].load().sel(kind="batch").isel(batch_size=0).mean()
    correlation = script.gaps(small, "unit_correlation")["batch"].isel(batch_size=0)
    return texts | {
        "kept": averaged(kept(tree).isel(batch_size=0)),
        "kept/theory": number(float(theory)),
        "learned": averaged(correlation),
    }


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge the decomposition in a residual network, and what becomes of correlations."""
    (found, random), pairs = script.opened(tree), closing(tree)
    asked = script.effects(found) | script.correlations(random)
    size, gamma = count(found["batch_size"][0]), script.gaps(found, "mean_gamma")["batch"]
    trained = script.gaps(found, "unit_correlation")["batch"]
    listed = [
        judged(
            r"In a residual network batch normalization makes $\gamma$ smaller", "Luo2019",
            r"$\ln|\gamma|$ with population normalization less that with it, at each $M$",
            rf"$\ln|\gamma|$ is {averaged(gamma.isel(batch_size=0))} more at $M={size}$",
            asked["BN has smaller γ than PN"][0],
        ),
        judged(
            r"Random statistics make units less correlated, by $q(1-q^2)/2M$", "Luo2019",
            r"share of the correlation of random units on MNIST that they take, at each $M$; law: "
            "that of Gaussian fields",
            rf"{averaged(kept(tree).isel(batch_size=0))} of it is kept at $M={size}$",
            *asked["random statistics take correlation, as of Gaussian fields: BN"],
        ),
        judged(
            r"\ldots{} and so do units that learn with them", "Luo2019",
            "correlation of two units of a layer with population normalization less that with "
            "batch normalization, at each $M$",
            rf"{averaged(trained.isel(batch_size=0))} more at $M={size}$",
            asked["units learn to be less correlated than with PN: BN"][0],
        ),
    ]  # fmt: skip
    if pairs:
        nearer, apart = (list(parts) for parts in zip(*pairs, strict=True))
        left = np.concatenate([part.mean("replica").values for part in apart])
        listed.insert(
            0,
            judged(
                "In a residual network it is population normalization with gamma decay",
                "Luo2019",
                r"how much nearer the published decay brings $\ln|\gamma|$ and both losses to "
                "those of batch normalization, at each $M$ at which these differ; law: they are "
                "the same",
                rf"of {count(len(left))} differences at most {number(abs(left).max(), digits=2)} "
                "is left",
                nearer,
                apart,
            ),
        )
    return listed
