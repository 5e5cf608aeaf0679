"""What is left of the learning rate after a long time."""

from __future__ import annotations

import xarray as xr

from paper import stores
from paper.number import Claim, count, judged, logarithmic_slope, number, power, setting

script = stores.script("late_time")


def ratios(tree: xr.DataTree, variable: str) -> xr.DataArray:
    """Divide the flow at its last time by the asymptotic law."""
    flow, law = (tree[group].to_dataset() for group in ("macroscopic", "asymptote"))
    return (flow[variable] / law[variable]).isel(time=-1)


def spread(tree: xr.DataTree) -> float:
    """Return by how much 1 − R differs between learning rates at the last time, in per cent."""
    last = tree["macroscopic"]["misalignment"].isel(time=-1)
    return 100 * float((last.max("learning_rate") / last.min("learning_rate") - 1).max())


def score(tree: xr.DataTree) -> float:
    """Return how far the extrapolated chain is from the flow, in standard errors at most."""
    chain = (tree[group].to_dataset() for group in ("mesoscopic", "smaller"))
    mean, error = script.infinite_dimension(*chain)
    flow = tree["macroscopic"].to_dataset().sel(time=mean["time"])
    away = ((mean - flow) / error).isel(time=-1)
    return float(max(abs(away[v]).max() for v in ("effective_rate", "misalignment")))


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return the spread over learning rates and the distance from the law."""
    rates = tree["macroscopic"]["learning_rate"]
    linear, relu = (ratios(tree, "misalignment").sel(activation=a) for a in ("linear", "relu"))
    return {
        "batch_size": count(script.BATCH_SIZE),
        "label_noise": setting(script.LABEL_NOISE),
        "dimension": count(tree["mesoscopic"].attrs["dimension"]),
        "smaller": count(tree["smaller"].attrs["dimension"]),
        "duration": number(float(tree["mesoscopic"]["time"][-1]), digits=2),
        "last": power(tree["macroscopic"]["time"][-1]),
        "rate_ratio": setting(rates[-1] / rates[0]),
        "spread": number(spread(tree), digits=2),
        "linear_low": number(float(linear.min()), digits=4),
        "linear_high": number(float(linear.max()), digits=4),
        "relu_rest": rf"{number(100 * (float(relu.max()) - 1), digits=2)}\,\%",
        "score": number(score(tree), digits=2),
        "comparisons": count(2 * tree["mesoscopic"]["misalignment"].isel(time=0, replica=0).size),
    }


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge whether normalization tunes its own learning rate."""
    rates = tree["macroscopic"]["learning_rate"]
    chain = tree["mesoscopic"]["effective_rate"].isel(time=-1, drop=True)
    left = logarithmic_slope(chain)
    return [
        judged(
            "Normalization tunes its own learning rate", "Arora2019",
            r"$1-d\ln\eta_{\rm eff}/d\ln\eta$ of each student at the end",
            rf"$d\ln\eta_{{\rm eff}}/d\ln\eta\le"
            rf"{number(float(left.mean('replica').max()), digits=2)}$ after "
            rf"$t={number(float(tree['mesoscopic']['time'][-1]), digits=2)}$; "
            rf"$1-R$ differs by {number(spread(tree), digits=2)}\,\% between rates of ratio "
            rf"{setting(rates[-1] / rates[0])} in the end",
            1 - left,
        )
    ]  # fmt: skip
