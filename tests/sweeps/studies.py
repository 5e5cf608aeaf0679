"""Functions that the tests sweep, and the drivers that they kill."""

import os
import signal
import time
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

import statmech_bn as sbn
from statmech_bn.errors import InvalidStore
from statmech_bn.sweeps.store import hold

TIME = np.linspace(0, 1, 5)
START = sbn.OrderParameters(0.1)
GRID = {"frequency": [0.5, 1.0, 2.0, 4.0, 8.0], "shape": ["round", "edgy"], "phase": [0, 1, 2]}


def wave(frequency, shape, phase, amplitude=1.0, seed=0):
    """Return noise on a wave: float, float32, integer and boolean results, one scalar."""
    values = amplitude * np.sin(frequency * TIME + phase)
    if shape == "edgy":
        values = np.sign(values)
    noise = np.random.default_rng(seed).standard_normal((TIME.size, 2))
    return xr.Dataset(
        {
            "noisy": (("time", "side"), values[:, None] + noise, {"units": "V"}),
            "single": ("time", values.astype(np.float32)),
            "crossings": ("time", np.cumsum(values > 0)),
            "positive": ((), bool(values[-1] > 0)),
        },
        {
            "time": ("time", TIME, {"units": "s"}),
            "side": ["left", "right"],
            "period": 1 / frequency,
        },
        {"shape": shape, "maker": "wave", "amplitude": np.float64(amplitude)},
    )


def chain(activation, batch_size, learning_rate, seed):
    """Run the finite-N chain of a student that the grid describes."""
    setup = sbn.TeacherStudent(activation, "batch", batch_size, label_noise=0.5)
    return sbn.mesoscopic(setup, learning_rate, TIME, START, 20, 3, seed, workers=1)


def nap(x, seconds=0.0):
    """Take some time, and half as long every other time; one attribute varies."""
    time.sleep(seconds * (1 + x % 2) / 2)
    values = {"y": ("time", np.cos(x * TIME)), "z": ((), 1.0 * x)}
    return xr.Dataset(values, {"time": TIME}, {"maker": "nap", "large": int(x > 30)})


def fragile(x, cure, called=None):
    """Fail at 7 until a file is there; note each call in another."""
    if called:
        with Path(called).open("a") as file:
            file.write(f"{x}\n")
    if x == 7 and not Path(cure).exists():
        raise RuntimeError("seven is too many")
    return nap(x)


def deadly(x, cure):
    """Kill the worker at 7 until a file is there."""
    if x == 7 and not Path(cure).exists():
        os._exit(1)
    return nap(x)


def intruder(x, store):
    """Try to write to the store while the sweep does."""
    try:
        with hold(Path(store)):
            return xr.Dataset({"refused": False})
    except InvalidStore:
        return xr.Dataset({"refused": True})


def changing(x, how):
    """Return something else from 7 on."""
    if x < 7 or how == "same":
        return nap(x)
    return {
        "dims": xr.Dataset({"y": ("time", TIME[:3]), "z": ((), 1.0)}, {"time": TIME[:3]}),
        "coordinate": nap(x).assign_coords(time=TIME + 1),
        "names": nap(x).rename(y="w"),
        "more": nap(x).assign(w=1.0),
        "fewer": nap(x).drop_vars("y"),
        "dtype": nap(x).astype(np.float32),
        "type": nap(x).y,
        "text": nap(x).assign(z="seven"),
    }[how]


def resumed(x, how, cure):
    """Fail at 7 until a file is there, and return something else from then on."""
    if Path(cure).exists():
        return changing(7, how)
    return fragile(x, cure)


def long(x, times):
    """Return many times."""
    return xr.Dataset({"y": ("time", np.full(times, float(x)))}, {"time": np.arange(times)})


def drive(store, begun, seconds=0.002, points=60, **more):
    """Sweep in a process of its own, after saying so."""
    begun.set()
    sbn.sweep(partial(nap, seconds=seconds), {"x": range(points)}, store, **more)


def drive_and_tell(store, pipe, **more):
    """Sweep in a process of its own and send what stopped it."""
    # a process in the background of a shell ignores interrupts, and so do its children
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        pipe.send("begun")
        drive(store, Silent(), **more)
        pipe.send("finished")
    except BaseException as error:
        pipe.send((type(error).__name__, str(error), getattr(error, "__notes__", [])))


class Silent:
    """An event that nobody waits for."""

    def set(self):
        """Do nothing."""


def seeded(x, scale=1.0, seed=0, seconds=0.0):
    """Take a seed and more."""
    return nap(scale * x, seconds)


def sweep_on_cluster(store, address, pipe, points):
    """Sweep slow points on a cluster whose workers are being killed."""
    finished = False
    while not finished:
        try:
            sbn.sweep(partial(nap, seconds=0.3), {"x": range(points)}, store, scheduler=address)
            finished = True
        except sbn.errors.SweepStopped as error:
            if "KilledWorker" not in str(error):
                raise
    pipe.send("finished")


def named(x, variable="y", dim="k", axis="k", kind=float, **attributes):
    """Return a result of which names, types and attributes are given."""
    labels = np.array(attributes.get("labels", [0]))
    values = (dim, np.array([x], kind), attributes.get("of_variable", {}))
    return xr.Dataset({variable: values}, {axis: labels}, attributes.get("attributes", {}))


def takes_all(**point):
    return named(1.0)


class Maker:
    """It makes a result by methods of the class and of its objects."""

    @classmethod
    def of_class(cls, x):
        return named(x)

    def of_object(self, x):
        return named(x)
