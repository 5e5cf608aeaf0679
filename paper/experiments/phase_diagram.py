"""Where students learn over six decades of learning rates, and what schedules change."""

from __future__ import annotations

import numpy as np
import xarray as xr

from paper import stores
from paper.number import count, number, setting

script = stores.script("phase_diagram")


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return the sizes of the maps, and what a schedule leaves of the learning rate."""
    maps = tree["maps"].to_dataset()
    theory = tree["schedules/macroscopic"].to_dataset().isel(time=-1)
    learned = theory["generalization_error"].where(theory["learning_rate"] >= 1, drop=True)
    learned = learned.where(learned < float("inf"))
    normalized = maps["diverged_at"].sel(student=["weight", "batch"])
    found = {
        "points": count(maps["diverged_at"].size),
        "normalized_diverged": count(int(normalized.notnull().sum())),
        "duration": setting(script.Options.duration),
        "scheduled": setting(script.Options.scheduled),
        "batch_size": count(script.BATCH_SIZE),
        "label_noise": setting(script.LABEL_NOISE),
        "dimension": count(tree["schedules/mesoscopic"].attrs["dimension"]),
        "decades": count(np.log10(float(maps["learning_rate"][-1] / maps["learning_rate"][0]))),
    }
    for student in script.STUDENTS:
        for name in ("constant", "cosine"):
            error = learned.sel(student=student, schedule=name)
            least, most = float(error.min()), float(error.max())
            if student == "weight":
                found[f"{student}/{name}/best"] = number(least, digits=2)
            found[f"{student}/{name}/spread"] = number(most / least, digits=2)
    return found
