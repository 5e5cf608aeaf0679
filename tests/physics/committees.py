"""The numbers of `reference_units.json`, and how a state of several units is compared."""

import json
from pathlib import Path

import numpy as np
from scipy import stats

import statmech_bn as sbn

CASES = json.loads((Path(__file__).parent / "reference_units.json").read_text())["cases"]
NAMES = ("student_teacher", "student_student", "gamma", "readout")
SMALLEST_P = 1e-5  # over some hundred comparisons with fixed seeds


def setup_and_run(case):
    """Return the setup of a case, and the arguments of a level."""
    units, gram = case["teacher_units"], np.array(case["gram_teacher_first"])
    learned = case["eta_readout"] > 0
    setup = sbn.TeacherStudent(
        case["activation"], case["normalization"], case["batch_size"], case["label_noise"],
        case["gamma_decay"], case["weight_decay"], student_units=case["student_units"],
        teacher_units=units, teacher_overlaps=gram[:units, :units],
        teacher_readout=case["teacher_readout"], readout="learned" if learned else "fixed",
    )  # fmt: skip
    start = sbn.OrderParameters(
        student_teacher=gram[units:, :units], student_student=gram[units:, units:],
        gamma=case["gamma_start"], readout=case["readout_start"],
    )  # fmt: skip
    rates = {"learning_rate": case["eta"], "gamma_learning_rate": case["eta_gamma"]}
    rates["readout_learning_rate"] = case["eta_readout"] if learned else None
    return setup, {"start": start, **rates}


def numbers(dataset, time=-1):
    """Return all independent numbers of the state at a time, (replicas, numbers)."""
    found = [dataset[name].isel(learning_rate=0, time=time).values for name in NAMES]
    upper = np.triu_indices(found[1].shape[-1])
    found[1] = found[1][:, *upper]
    return np.concatenate([values.reshape(len(values), -1) for values in found], axis=1)


def smallest_p(first, second):
    """Smallest p-value of means (Welch), spreads (Brown-Forsythe) and laws (KS) of all numbers."""
    found = [1.0]
    for one, other in zip(first.T, second.T, strict=True):
        if np.ptp(one) == 0 and np.ptp(other) == 0:
            found.append(float(np.isclose(one[0], other[0], rtol=1e-14)))
            continue
        found += [
            stats.ttest_ind(one, other, equal_var=False).pvalue,
            stats.levene(one, other, center="median").pvalue,
            stats.ks_2samp(one, other).pvalue,
        ]
    return min(found)
