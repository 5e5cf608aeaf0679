"""Small objects of each kind that functions take, from which good calls are made."""

from functools import lru_cache
from types import ModuleType

import numpy as np
import sympy as sp
import xarray as xr

import statmech_bn as sbn

x = sp.Symbol("x", real=True)


def table(attributes=None, **variables):
    """Make a Dataset of positive numbers from the dimensions of each variable."""
    names = {dim for dims in variables.values() for dim in dims.split()}
    labels = {
        "kind": ["batch", "population", "none"], "part": ["mean", "spread", "both"],
        "source": ["a", "b", "c"], "labels": ["model", "true"], "channels": ["alone", "together"],
        "inputs": ["student_3", "laplace", "uniform"], "end": [0, 1], "coordinate": [0, 1],
    }  # fmt: skip
    coordinates = {name: labels.get(name, np.arange(1, 4)) for name in sorted(names)}
    generator = np.random.default_rng(1)
    data = {
        name: (
            dims.split(),
            generator.uniform(0.2, 0.8, [len(coordinates[d]) for d in dims.split()]),
        )
        for name, dims in variables.items()
    }
    return xr.Dataset(data, coordinates, attributes or {})


def run(level="macroscopic", **more):
    dims = "learning_rate time" if level == "macroscopic" else "learning_rate replica time"
    names = ("overlap", "length", "gamma", "generalization_error")
    found = table({"level": level, "dimension": 100}, **dict.fromkeys(names, dims), **more)
    for name in names:
        found[name].attrs["symbol"] = "$R$"
    found["diverged_at"] = found["overlap"].isel(time=0, drop=True) * np.nan
    return found


@lru_cache
def committee_run():
    several = sbn.TeacherStudent("linear", "weight", 4, student_units=2, teacher_units=2)
    start = sbn.OrderParameters.random(several, 10, seed=0)
    return sbn.microscopic(several, 0.5, [0, 0.5], start, 10)


@lru_cache
def network():
    return sbn.depth.DeepNetwork(depth=2, width=4, inputs=3, classes=2)


@lru_cache
def classes():
    return sbn.depth.teacher_classes(8, 3, 2, np.random.default_rng(0))


def trained():
    inputs, labels = classes()
    return {"network": network(), "inputs": inputs, "labels": labels, "replicas": 1, "seed": 0}


def parameters():
    return network().initial(np.random.default_rng(0))


def passed():
    return sbn.depth.forward(network(), parameters(), classes()[0])


def relu_network():
    return sbn.geometry.ReluNetwork.random((2, 3), seed=1)


def cloud():
    return sbn.geometry.point_cloud("moons", 10)


def setup():
    return sbn.TeacherStudent("linear", "weight", batch_size=4, label_noise=0.5)


def level(**more):
    start = sbn.OrderParameters()
    return {"setup": setup(), "learning_rate": 0.5, "time": [0, 0.5], "start": start, **more}


def squares(learning_rate):
    return xr.Dataset({"square": learning_rate**2})


def cache():
    return sbn.layers.batch_norm_forward(np.eye(4), np.ones(4), np.zeros(4))[1]


def weights_cache():
    return sbn.layers.weight_norm_forward(np.eye(3), np.ones(3))[1]


def population_cache():
    both = np.zeros(3), np.zeros(3)
    return sbn.layers.population_norm_forward(np.eye(3), np.ones(3), *both, np.eye(3))[2]


def replicas():
    return xr.DataArray([0.9, 1.0, 1.2], dims="replica")


def panels_figure():
    return sbn.plot.trajectories(run(), variables=["overlap"])


def script():
    """Return a simulation script with one number to compute."""
    found = ModuleType("ours")
    found.__file__ = __file__
    found.Options = sbn.study.Options
    found.parts = lambda options: {"part": (squares, {"learning_rate": [1.0]})}
    return found


def spectrum():
    return sbn.Spectrum([2, 1], fractions=[0.5, 0.5])
