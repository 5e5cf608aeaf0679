"""Many layers: what happens to inputs, gradients and steps on their way through a deep network."""

from statmech_bn.depth.alignment import gradient_alignment, gradient_squares
from statmech_bn.depth.convolution import convolution_signals
from statmech_bn.depth.correlation import FixedPoint, Layer, fixed_point, propagate
from statmech_bn.depth.data import digits, teacher_classes
from statmech_bn.depth.features import relu_features
from statmech_bn.depth.finite_batch import BatchFixedPoint, batch_fixed_point
from statmech_bn.depth.fisher import largest_fisher_eigenvalue
from statmech_bn.depth.gradient_noise import gradient_noise
from statmech_bn.depth.kernel import kernel
from statmech_bn.depth.network import DeepNetwork, Parameters, keeping_gain, stepped
from statmech_bn.depth.products import (
    fuss_catalan_cumulative,
    fuss_catalan_density,
    growth_exponents,
    product_conditions,
    product_spectra,
    representation_conditions,
    second_moments,
    typical_condition_number,
)
from statmech_bn.depth.propagation import (
    Gradients,
    Pass,
    backward,
    cross_entropy,
    forward,
    loss_and_gradients,
)
from statmech_bn.depth.random_network import measure_correlation, measure_gradients
from statmech_bn.depth.rectified_residual import rectified_residual_growth
from statmech_bn.depth.residual import measure_residual, residual_growth
from statmech_bn.depth.training import train
from statmech_bn.depth.updates import growth_per_layer, largest_step, step_moments

__all__ = [
    "BatchFixedPoint",
    "DeepNetwork",
    "FixedPoint",
    "Gradients",
    "Layer",
    "Parameters",
    "Pass",
    "backward",
    "batch_fixed_point",
    "convolution_signals",
    "cross_entropy",
    "digits",
    "fixed_point",
    "forward",
    "fuss_catalan_cumulative",
    "fuss_catalan_density",
    "gradient_alignment",
    "gradient_noise",
    "gradient_squares",
    "growth_exponents",
    "growth_per_layer",
    "keeping_gain",
    "kernel",
    "largest_fisher_eigenvalue",
    "largest_step",
    "loss_and_gradients",
    "measure_correlation",
    "measure_gradients",
    "measure_residual",
    "product_conditions",
    "product_spectra",
    "propagate",
    "rectified_residual_growth",
    "relu_features",
    "representation_conditions",
    "residual_growth",
    "second_moments",
    "step_moments",
    "stepped",
    "teacher_classes",
    "train",
    "typical_condition_number",
]
