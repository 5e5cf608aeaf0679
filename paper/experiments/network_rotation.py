"""How far a step turns the channels of a network that rest under weight decay."""

from __future__ import annotations

import xarray as xr

from paper import stores
from paper.number import Claim, averaged, judged, number, setting

script = stores.script("network_rotation")


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return angles by theory at the smallest and the largest decay."""
    ratio = tree["rest"]["angle_ratio"].load().mean(["layer", "momentum"])
    left, law = script.remaining(tree)
    found = {"left": averaged(left), "law": number(law, digits=2)}
    for word, place in (("small", 0), ("large", -1)):
        at = ratio.isel(weight_decay=place)
        found[word], found[f"{word}/decay"] = averaged(at), setting(at["weight_decay"])
    return found


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge the angle at rest, and the way to it."""
    asked, values = script.claims(tree), numbers(tree)
    balance = tree["rest"]["balance"].load().mean(["layer", "momentum", "weight_decay"])
    return [
        judged(
            r"In networks at rest a step turns channels by $\sqrt{2\eta\lambda/(1+\beta)}$",
            "Wan2021",
            r"angle per step, for each layer, $\lambda$ and $\beta$; law: by that, less 1",
            rf"{values['small']} of it at the smallest $\lambda$, {values['large']} at the largest",
            *asked["A step turns by √(2ηλ/(1 + β)) at rest"],
        ),
        judged(
            r"\ldots{} and where $|w|$ still changes, more while it grows", "Wan2021",
            r"squared angle per step by that at rest, less $\mathrm d\ln|w|^2/\mathrm d\tau$ with "
            r"$\tau=2\eta\lambda t/(1-\beta)$, for each layer, $\lambda$ and $\beta$; law: 1",
            rf"{averaged(balance)}",
            *asked["... and as the length says where it still changes"],
        ),
        judged(
            r"$|w|^4$ goes there at the rate $4\eta\lambda$", "Wan2021",
            r"part of the way of $|w|^4$ to rest at $4\eta\lambda t=1$; law: $1-e^{-1}$",
            rf"{values['left']} of the way is left, by the law {values['law']}",
            *asked["|w|⁴ goes to rest at the rate 4ηλ"],
        ),
    ]  # fmt: skip
