"""What is larger than the memory is refused by name, before anything is drawn."""

import time

import numpy as np
import pytest

import statmech_bn as sbn
from statmech_bn import depth, geometry
from statmech_bn.errors import InvalidSetup

MOST = 2**31 - 1
"""The largest count that is legal; a thousand million numbers are 8 GB."""
LAYER = depth.Layer("relu")
POINTS, LABELS = geometry.point_cloud("moons", 10)
SIZES = {
    "deep": lambda: depth.DeepNetwork(depth=MOST, width=4, inputs=3),
    "wide": lambda: depth.DeepNetwork(depth=2, width=MOST, inputs=3),
    "many inputs": lambda: depth.DeepNetwork(depth=2, width=1000, inputs=MOST),
    "correlations": lambda: depth.propagate(LAYER, np.zeros(100), depth=MOST),
    "wide correlations": lambda: depth.measure_correlation(LAYER, [0.5], 1, width=MOST),
    "deep gradients": lambda: depth.measure_gradients("relu", 4, depth=MOST, width=4),
    "wide gradients": lambda: depth.measure_gradients("relu", 4, depth=5, width=MOST, settle=1),
    "residual": lambda: depth.measure_residual("relu", "branch", depth=MOST, width=4),
    "spectra": lambda: depth.product_spectra(1, dimension=MOST, replicas=1),
    "conditions": lambda: depth.product_conditions(1, dimension=MOST, replicas=1),
    "representations": lambda: depth.representation_conditions("relu", 1, width=MOST),
    "classes": lambda: depth.teacher_classes(MOST, 1000, 2, np.random.default_rng(0)),
    "cloud": lambda: geometry.point_cloud("moons", MOST),
    "network": lambda: geometry.ReluNetwork.random((2, MOST, MOST)),
    "classifier": lambda: geometry.train_classifier(POINTS, LABELS, 4, widths=(MOST,)),
    "chain": lambda: sbn.mesoscopic(
        sbn.TeacherStudent(), 1.0, [0, 1], sbn.OrderParameters(), 100, replicas=MOST
    ),
}


@pytest.mark.parametrize("size", SIZES)
def test_what_does_not_fit_into_memory_is_refused(size, monkeypatch):
    monkeypatch.setattr("os.sysconf", lambda name: 4096 if "SIZE" in name else 2**22)  # 16 GiB
    begin = time.process_time()
    with pytest.raises(InvalidSetup, match=r"fits into the 16 GiB of memory, got '[\d.e+]+ GiB'"):
        SIZES[size]()
    assert time.process_time() - begin < 5
