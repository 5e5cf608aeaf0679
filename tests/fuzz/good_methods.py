"""One tiny call that works for each method; ``self`` is the object that it is called on."""

import numpy as np
from tiny import network, relu_network, setup, spectrum

import statmech_bn as sbn


def inputs():
    return sbn.Inputs(np.random.default_rng(0).normal(size=(20, 3)))


def of(layer, *arguments):
    """Return a call of a layer's method for a variance and, where asked for, a correlation."""
    values = {"correlation": [0.5, 1.0], "variance": 1.0}
    return lambda: {"self": layer()} | {name: values[name] for name in arguments}


def layer():
    return sbn.depth.Layer("relu")


points = {"points": np.ones((2, 2))}

METHODS = {
    "Activation.from_text": lambda: {"text": sbn.activation("relu").to_text()},
    "Inputs.draw": lambda: {
        "self": inputs(), "generator": np.random.default_rng(0), "samples": 2, "dimension": 3,
        "place": "the inputs",
    },
    "Inputs.error_samples": lambda: {
        "self": inputs(), "generator": np.random.default_rng(0), "dimension": 3
    },
    "Inputs.moments": lambda: {
        "self": inputs(), "generator": np.random.default_rng(0), "dimension": 3
    },
    "Inputs.rows": lambda: {"self": inputs(), "generator": np.random.default_rng(0), "samples": 2},
    "OrderParameters.blocks": lambda: {
        "self": sbn.OrderParameters.of_blocks([0.1, 0.1], [0.5, 0.5]), "spectrum": spectrum()
    },
    "OrderParameters.matrices": lambda: {"self": sbn.OrderParameters(), "setup": setup()},
    "OrderParameters.random": lambda: {
        "setup": setup(), "dimension": 5, "seed": 0, "length": 1.0, "gamma": 1.0, "readout": 1.0
    },
    "OrderParameters.of_blocks": lambda: {
        "student_teacher": [0.1, 0.1], "student_student": [0.5, 0.5], "gamma": 1.0
    },
    "Spectrum.block_products": lambda: {
        "self": spectrum(), "first": [1.0, 1, 1, 2], "second": [1.0, 1, 2, 2]
    },
    "Spectrum.counts": lambda: {"self": spectrum(), "dimension": 4},
    "Spectrum.field_cosine": lambda: {
        "self": spectrum(), "student_teacher": [0.1, 0.1], "student_student": [0.5, 0.5]
    },
    "Spectrum.from_attrs": lambda: {"attributes": spectrum().to_attrs()},
    "Spectrum.from_covariance": lambda: {
        "covariance": [2.0, 1.0, 1.0, 0.5], "teacher": [1.0, 1.0, 0.5, 1.0]
    },
    "Spectrum.from_data": lambda: {
        "samples": np.random.default_rng(0).normal(size=(8, 3)), "teacher": None,
        "labels": np.arange(8.0), "centre": True,
    },
    "Spectrum.merged": lambda: {"self": spectrum(), "tolerance": 0.1},
    "Spectrum.power_law": lambda: {
        "exponent": 1.0, "blocks": 2, "fractions": [0.5, 0.5], "multiplicities": None,
        "teacher": [0.3, 0.7],
    },
    "TeacherStudent.from_attrs": lambda: {"attributes": setup().to_attrs()},
    "depth.DeepNetwork.initial": lambda: {
        "self": network(), "generator": np.random.default_rng(0)
    },
    "depth.Layer.gradient_multiplier": of(layer, "variance"),
    "depth.Layer.next_correlation": of(layer, "correlation", "variance"),
    "depth.Layer.next_variance": of(layer, "variance"),
    "depth.Layer.slope": of(layer, "correlation", "variance"),
    "geometry.ReluNetwork.fields": lambda: {"self": relu_network(), **points},
    "geometry.ReluNetwork.gradients": lambda: {"self": relu_network(), **points},
    "geometry.ReluNetwork.pattern": lambda: {"self": relu_network(), **points},
    "geometry.ReluNetwork.random": lambda: {"widths": (2, 3), "seed": 0, "bias_scale": 0.0},
    "geometry.ReluNetwork.section": lambda: {
        "self": relu_network(), "origin": [0.0, 0.0], "axes": np.eye(2)
    },
    "geometry.ReluNetwork.with_batch_statistics": lambda: {
        "self": relu_network(), "data": np.random.default_rng(0).normal(size=(8, 2))
    },
    "study.Options.size": lambda: {"self": sbn.study.Options(), "name": "seed"},
}  # fmt: skip
