"""Which learning rates diverge, and the plateau of those that do not."""

from __future__ import annotations

import numpy as np
import xarray as xr

from paper import stores
from paper.number import Claim, count, judged, number, setting

script = stores.script("learning_rates")


def diverged(tree: xr.DataTree, student: str) -> xr.DataArray:
    """Say which simulated runs of a student diverged, at each learning rate."""
    levels = (tree[level]["diverged_at"].sel(student=student) for level in script.LEVELS[1:])
    runs = [level.notnull().transpose("learning_rate", ...) for level in levels]
    parts = [run.values.reshape(run.sizes["learning_rate"], -1) for run in runs]
    return xr.DataArray(
        np.hstack(parts), {"learning_rate": runs[0]["learning_rate"]}, ("learning_rate", "replica")
    )


def counts(tree: xr.DataTree) -> dict[str, int]:
    """Count diverging runs: with normalization, and without it above and below 2M."""
    normalized = [diverged(tree, name) for name in script.STUDENTS if name != "none"]
    plain = diverged(tree, "none")
    above = plain["learning_rate"] > 2 * script.BATCH_SIZE
    return {
        "normalized_runs": sum(runs.size for runs in normalized),
        "normalized_diverged": sum(int(runs.sum()) for runs in normalized),
        "plain_above": int(plain[above].size),
        "plain_above_diverged": int(plain[above].sum()),
        "plain_below": int(plain[~above].size),
        "plain_below_diverged": int(plain[~above].sum()),
    }


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return sizes, counts, and the overlap on the plateau beside its prediction."""
    theory = tree["macroscopic"].to_dataset().sel(activation="linear", student="weight")
    last = theory.isel(time=-1)
    time = float(last["time"])
    predicted = script.LABEL_NOISE / 4 / np.sqrt(2 * script.BATCH_SIZE * time)
    plateau = last.sel(learning_rate=slice(4, script.BATCH_SIZE))
    ratio = (1 - plateau["overlap"]) / predicted
    rates = tree["macroscopic"]["learning_rate"]
    return {
        "batch_size": count(script.BATCH_SIZE),
        "label_noise": setting(script.LABEL_NOISE),
        "dimension": count(tree["mesoscopic"].attrs["dimension"]),
        "replicas": count(tree["mesoscopic"].sizes["replica"]),
        "networks": count(tree["microscopic"].sizes["replica"]),
        "duration": setting(time),
        "lowest_rate": setting(rates[0]),
        "highest_rate": setting(rates[-1]),
        "plateau_predicted": number(predicted),
        "plateau_low": number(float(ratio.min())),
        "plateau_high": number(float(ratio.max())),
        **{name: count(value) for name, value in counts(tree).items()},
    }


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge whether normalization allows learning rates that diverge without it."""
    found = counts(tree)
    normalized = [diverged(tree, name) for name in script.STUDENTS if name != "none"]
    spared = diverged(tree, "none") - sum(runs.astype(float) for runs in normalized) / 3
    text = (
        rf"{count(found['normalized_diverged'])} of {count(found['normalized_runs'])} normalized "
        rf"runs diverge; without, {count(found['plain_above_diverged'])} of "
        rf"{count(found['plain_above'])} at $\eta>2M$"
    )
    return [
        judged(
            "Normalization allows learning rates that diverge without it", "Ioffe2015",
            r"share of runs that diverge without normalization, less that with it, at each "
            r"$\eta>2M$",
            text, spared.sel(learning_rate=spared["learning_rate"] > 2 * script.BATCH_SIZE),
        )
    ]  # fmt: skip
