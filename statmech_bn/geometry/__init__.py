"""The partition of input space by a ReLU network, and what batch normalization does to it."""

from statmech_bn.geometry.clouds import CLOUDS, point_cloud
from statmech_bn.geometry.distance import (
    affine_distances,
    folded_distances,
    least_squares_offset,
)
from statmech_bn.geometry.jitter import boundary_jitter, flip_rate
from statmech_bn.geometry.margin import margins, train_classifier
from statmech_bn.geometry.network import Layer, Normalization, ReluNetwork
from statmech_bn.geometry.partition import partition, polygons

__all__ = [
    "CLOUDS",
    "Layer",
    "Normalization",
    "ReluNetwork",
    "affine_distances",
    "boundary_jitter",
    "flip_rate",
    "folded_distances",
    "least_squares_offset",
    "margins",
    "partition",
    "point_cloud",
    "polygons",
    "train_classifier",
]
