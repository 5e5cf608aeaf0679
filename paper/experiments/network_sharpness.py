"""How sharp the minima of trained networks are."""

from __future__ import annotations

import numpy as np
import xarray as xr

from paper import stores
from paper.number import Claim, averaged, count, judged, number

script = stores.script("network_sharpness")


def powers(tree: xr.DataTree, kind: str) -> xr.Dataset:
    """Return the powers of η and M in the final sharpness, over replicas."""
    return script.exponents(script.trained(tree)[kind]["sharpness"].isel(training_time=-1))


def descent(tree: xr.DataTree, kind: str) -> xr.DataArray:
    """Return ηλ/2 of the largest batch."""
    return script.trained(tree)[kind]["stability"].isel(batch_size=-1, drop=True)


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return powers, and how far gradient descent gets."""
    found = {"largest": count(tree["none"]["batch_size"][-1])}
    for kind in script.KINDS:
        own = powers(tree, kind)
        found[f"{kind}/rate"], found[f"{kind}/size"] = averaged(own["rate"]), averaged(own["size"])
        last = descent(tree, kind).isel(training_time=-1).mean("replica")
        found[f"{kind}/low"] = number(float(last.min()), digits=2)
        found[f"{kind}/high"] = number(float(last.max()), digits=2)
    return found


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge what sets the sharpness."""
    own = [powers(tree, kind) for kind in script.KINDS]
    text = "; ".join(
        rf"{title}: $\lambda\propto\eta^a M^b$, $a={averaged(found['rate'])}$, "
        rf"$b={averaged(found['size'])}$"
        for title, found in zip(script.KINDS.values(), own, strict=True)
    )
    ways = [descent(tree, kind) for kind in script.KINDS]
    logarithms = [np.log(script.trained(tree)[kind]["sharpness"]) for kind in script.KINDS]
    smoother = (logarithms[0] - logarithms[1]).mean(["batch_size", "learning_rate"])
    smoother = smoother.isel(training_time=[0, -1])
    lasts = [way.isel(training_time=-1, drop=True) for way in ways]
    return [
        judged(
            "Small batches find flatter minima", "Keskar2017",
            r"power $b$ of $M$ in the final $\lambda$, with normalization and without",
            text, [found["size"] for found in own],
        ),
        judged(
            r"$\eta/M$ alone sets the sharpness", "Jastrzebski2017",
            r"$-a$ and $b$ of $\lambda\propto\eta^aM^b$, with normalization and without; law: "
            "$a+b=0$",
            ", ".join(
                rf"{title}: $a+b={averaged(found['rate'] + found['size'])}$"
                for title, found in zip(script.KINDS.values(), own, strict=True)
            ),
            [sign * found[n] for found in own for sign, n in ((-1, "rate"), (1, "size"))],
            [found["rate"] + found["size"] for found in own],
        ),
        judged(
            r"Gradient descent sharpens up to the edge of stability, $\lambda=2/\eta$",
            "Cohen2021",
            r"$\eta\lambda/2$ of the largest batch at the end, less that at the start, at each "
            r"$\eta$, with normalization and without; law: 1 at the end",
            r"$\eta\lambda/2$ ends between "
            rf"{number(min(float(d.mean('replica').min()) for d in lasts), digits=2)} and "
            rf"{number(max(float(d.mean('replica').max()) for d in lasts), digits=2)}",
            [way.isel(training_time=-1) - way.isel(training_time=0) for way in ways],
            [d - 1 for d in lasts],
        ),
        judged(
            "Batch normalization makes the loss smoother", "Santurkar2018",
            r"$\ln\lambda$ without normalization, less that with it, at the start and at the end",
            ", ".join(
                rf"$\lambda$ is {number(float(np.exp(values.mean())), digits=2)} times smaller {w}"
                for w, values in zip(
                    ("at the start", "at the end"),
                    (smoother.isel(training_time=k) for k in (0, -1)),
                    strict=True,
                )
            ),
            smoother,
        ),
    ]  # fmt: skip
