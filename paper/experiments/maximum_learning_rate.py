"""The learning rate at which an unnormalized student explodes, and those of the fixed points."""

from __future__ import annotations

import xarray as xr

import statmech_bn as sbn
from paper.number import Claim, averaged, count, judged, number, power, setting

SIZE, EARLY = 32, 0.1
"""Rows of the table are compared at this M; far from the teacher R has this value."""


def per_sample(tree: xr.DataTree, activation: str) -> xr.DataArray:
    """Return η_∞/M without its part of order M/N, averaged over M for every replica."""
    frontier = tree["frontier/mesoscopic"].to_dataset().sel(activation=activation)
    size = frontier["batch_size"]
    finite = 1 + (size + 1) / frontier.attrs["dimension"]
    return (frontier["divergence_rate"] / size * finite).mean("batch_size")


def relative_maximum(student: str) -> float:
    """Return η_max of a linear student in units of that of weight normalization."""
    rates = sbn.rates.table(batch_size=SIZE)["maximum_rate"].sel(activation="linear")
    return float(rates.sel(student=student) / rates.sel(student="weight"))


def early_maximum() -> float:
    """Return the same of batch normalization far from the teacher, at γ = 1."""
    weight, batch = (
        sbn.rates.maximum(sbn.TeacherStudent("linear", name, SIZE), sbn.OrderParameters(EARLY))
        for name in ("weight", "batch")
    )
    return float(batch / weight)


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return the frontier, its finite size, and the rows of the table at one M."""
    far = tree["six_decades/mesoscopic"].to_dataset()
    return {
        "frontier": averaged(per_sample(tree, "linear")),
        "frontier_relu": averaged(
            tree["frontier/mesoscopic"]["divergence_rate"].sel(activation="relu").isel(batch_size=0)
            / tree["frontier/mesoscopic"]["batch_size"][0]
        ),
        "smallest": count(tree["frontier/mesoscopic"]["batch_size"][0]),
        "highest": power(far["learning_rate"][-1]),
        "runs": count(far["diverged_at"].size),
        "diverged": count(int(far["diverged_at"].notnull().sum())),
        "size": count(SIZE),
        "published": number(relative_maximum("batch_as_gamma_decay")),
        "exact": number(relative_maximum("batch")),
        "early": number(early_maximum()),
        "early_overlap": setting(EARLY),
    }


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge the maximum learning rate of batch normalization beside weight normalization's."""
    published, exact = (relative_maximum(name) for name in ("batch_as_gamma_decay", "batch"))
    return [
        judged(
            "Near the teacher batch normalization takes larger steps than weight normalization",
            "Luo2019",
            r"$\eta_{\max}^{\rm BN}/\eta_{\max}^{\rm WN}-1$ (theory)",
            rf"$\eta_{{\max}}^{{\rm BN}}/\eta_{{\max}}^{{\rm WN}}={number(exact)}$ at $M={SIZE}$, "
            rf"published {number(published)}",
            xr.DataArray(exact - 1),
        )
    ]  # fmt: skip
