"""One tiny call that works for each public function, from which fuzzed calls are made.

A new public function without an entry here fails a test.
"""

from importlib.util import find_spec

import numpy as np
import sympy as sp
import xarray as xr
from good_methods import METHODS
from good_plots import PLOTS
from tiny import (
    cache,
    classes,
    cloud,
    level,
    network,
    parameters,
    passed,
    population_cache,
    relu_network,
    replicas,
    run,
    script,
    setup,
    spectrum,
    squares,
    trained,
    weights_cache,
    x,
)

import statmech_bn as sbn

GOOD = METHODS | PLOTS | {
    "Spectrum": lambda: {"eigenvalues": [2, 1], "fractions": [0.5, 0.5], "teacher": [0.3, 0.7]},
    "measure": lambda: {
        "weights": np.eye(4)[:3], "teacher": np.ones(4), "gamma": 1.0, "time": [0, 1, 2],
        "inputs": [2, 1, 1, 0.5], "setup": setup(), "learning_rate": 0.1,
    },
    "Activation": lambda: {"expression": sp.tanh(x)},
    "Inputs": lambda: {
        "source": np.random.default_rng(0).normal(size=(20, 3)), "mean": None, "covariance": None,
        "name": "data",
    },
    "OrderParameters": lambda: {"overlap": 0.1, "length": 1.0, "gamma": 1.0},
    "TeacherStudent": lambda: {
        "activation": "relu", "normalization": "batch", "batch_size": 8, "label_noise": 0.1,
        "gamma_decay": 0.0, "weight_decay": 0.0, "student_units": 2, "teacher_units": 2,
        "teacher_overlaps": [[1, 0.5], [0.5, 1]], "teacher_readout": 1.0, "readout": "learned",
    },
    "activation": lambda: {"description": "relu"},
    "batch_loss": lambda: {
        "activation": "linear", "batch_size": 4, "gamma": [0.5, 1.0], "part": "both",
        "overlap": 1.0, "batches": 4, "replicas": 2, "seed": 0, "field": None, "workers": 1,
    },
    "coupled_gamma_decay": lambda: {
        "setup": sbn.TeacherStudent("linear", "batch", 8, student_units=2, teacher_units=2),
        "state": sbn.OrderParameters(
            student_teacher=[[0.1, 0.0], [0.0, 0.2]], student_student=[[1, 0.5], [0.5, 1]]
        ),
    },
    "effective_gamma_decay": lambda: {
        "run": sbn.macroscopic(
            sbn.TeacherStudent(batch_size=4), 0.5, [0, 0.5], sbn.OrderParameters()
        )
    },
    "inference.dropout_scale": lambda: {
        "place": "before", "keep": 0.5, "batch_size": 8, "overlap": 0.8,
    },
    "inference.first_order_gap": lambda: {
        "activation": "linear", "gamma": 0.9, "overlap": 0.8, "own_weight": 1.0, "scale": 1.25,
    },
    "inference.inference_field": lambda: {"field": [0.0, 1.0], "own_weight": 0.1},
    "inference.inference_loss": lambda: {
        "activation": "linear", "gamma": 0.9, "overlap": 0.8, "own_weight": 0.1,
    },
    "inference.nearest_inference": lambda: {"batch_size": 8},
    "inference.running_average_excess": lambda: {
        "activation": "linear", "batch_size": 8, "momentum": 0.1, "gamma": 0.9, "overlap": 0.8,
    },
    "inference.training_loss": lambda: {
        "activation": "linear", "batch_size": 8, "gamma": 0.9, "overlap": 0.8,
    },
    "inference.training_mean": lambda: {"field": [0.0, 1.0], "batch_size": 8},
    "inference.variance_shift": lambda: {"keep": 0.5, "mean": 1.0},
    "inference.without_dropout": lambda: {
        "setup": sbn.TeacherStudent("linear", "batch", 8), "keep": 0.5,
    },
    "loss_minimum": lambda: {
        "losses": sbn.batch_loss("linear", 4, np.linspace(0.2, 1.5, 8), batches=8, replicas=2)
    },
    "macroscopic": lambda: level(
        gamma_learning_rate=None, workers=1, schedule=None, inputs=None,
        readout_learning_rate=None, progress=False,
    ),
    "mesoscopic": lambda: level(
        dimension=4, replicas=1, seed=0, gamma_learning_rate=None, device="cpu", workers=1,
        schedule=None, inputs=None, readout_learning_rate=None, progress=False,
        common_random_numbers=True,
    ),
    "microscopic": lambda: level(
        dimension=4, replicas=1, seed=0, gamma_learning_rate=None, device="cpu", inputs=None,
        teacher=None, workers=1, schedule=None, readout_learning_rate=None,
        progress=False, test_inputs=None, labels=None, common_random_numbers=True,
    ),
    "online.momentum.equilibrium_angle": lambda: {
        "learning_rate": 0.1, "weight_decay": 0.1, "momentum": 0.5, "dimension": 10,
    },
    "online.momentum.growth_for_decay": lambda: {
        "learning_rate": 0.1, "weight_decay": 0.1, "momentum": 0.5, "dimension": 10,
    },
    "online.momentum.heavy_ball": lambda: {
        **level(dimension=4, replicas=1, seed=0, gamma_learning_rate=None),
        "learning_rate": 0.3, "momentum": 0.5, "level": "mesoscopic", "gamma_momentum": None,
        "growth": 1.0, "velocity": 0.0,
    },
    "open": lambda: {"path": sbn.save(run(), "store.zarr")},
    "save": lambda: {"dataset": run(), "path": "store.zarr"},
    "stationary_gamma": lambda: {
        "activation": "linear", "batch_size": [4], "overlap": 1.0, "field": None
    },
    "sweep": lambda: {
        "function": squares, "grid": {"learning_rate": [1.0, 2.0]}, "store": "sweep.zarr",
        "seed": None, "workers": 1, "processes": False, "scheduler": None, "chunk_points": None,
    },
    "codegen.array_function": lambda: {
        "xp": np, "expressions": [x**2], "arguments": [x], "dtype": "float64"
    },
    "codegen.cuda_source": lambda: {"expressions": [x**2], "arguments": [x], "name": "square"},
    "codegen.latex": lambda: {"expression": x**2},
    "codegen.latex_table": lambda: {"header": ["a", "b"], "rows": [[x, "b"], [None, x**2]]},
    "codegen.numba_array_function": lambda: {"expressions": [x**2], "argument": x},
    "codegen.numba_function": lambda: {"expressions": [x**2], "arguments": [x]},
    "codegen.numba_inline_function": lambda: {"expressions": [x], "arguments": [x]},
    "codegen.numba_table_function": lambda: {"expressions": [x**2], "arguments": [x]},
    "codegen.numba_vector_function": lambda: {"expressions": [x**2], "arguments": [x]},
    "codegen.numpy_function": lambda: {"expressions": [x**2], "arguments": [x]},
    "codegen.prepare": lambda: {"expressions": [x**2], "arguments": [x]},
    "codegen.stable": lambda: {"expression": sp.log(1 + sp.exp(x))},
    "depth.measure_residual": lambda: {
        "activation": "linear", "place": "branch", "depth": 2, "branch_scale": 1.0, "width": 4,
        "batch_size": 5, "networks": 1, "seed": 0,
    },
    "depth.rectified_residual_growth": lambda: {"depth": 2},
    "depth.residual_growth": lambda: {
        "activation": "linear", "place": "branch", "depth": 2, "branch_scale": 1.0,
    },
    "depth.DeepNetwork": lambda: {
        "depth": 2, "width": 4, "inputs": 3, "classes": 2, "activation": "relu",
        "normalization": "none", "gain": None, "kernel": 1,
    },
    "depth.Layer": lambda: {
        "activation": "relu", "normalization": "none", "weight_variance": None,
        "bias_variance": 0.0, "batch_size": None,
    },
    "depth.backward": lambda: {
        "network": network(), "parameters": parameters(), "done": passed(), "labels": classes()[1]
    },
    "depth.convolution_signals": lambda: {
        "inputs": np.random.default_rng(0).normal(size=(4, 1, 3, 3)),
        "labels": np.array([0, 1, 0, 1]), "strides": [1], "normalization": "none", "seed": 0,
    },
    "depth.cross_entropy": lambda: {"logits": np.eye(2), "labels": np.array([0, 1])},
    "depth.batch_fixed_point": lambda: {
        "activation": "relu", "batch_size": 8, "scale": 1.0, "shift": 0.0, "epsilon": 0.0,
        "weight_variance": 2.0,
    },
    "depth.fixed_point": lambda: {"layer": sbn.depth.Layer("relu"), "scan": 4},
    "depth.forward": lambda: {
        "network": network(), "parameters": parameters(), "inputs": classes()[0]
    },
    "depth.fuss_catalan_cumulative": lambda: {"factors": 1, "points": [0.5, 1.0]},
    "depth.fuss_catalan_density": lambda: {"factors": 1, "points": [0.5, 1.0]},
    "depth.gradient_alignment": trained,
    "depth.gradient_noise": lambda: {**trained(), "batch_sizes": [2], "draws": 2},
    "depth.gradient_squares": trained,
    "depth.growth_exponents": lambda: {"dimension": 3},
    "depth.growth_per_layer": lambda: {
        "moments": sbn.depth.step_moments(**trained(), learning_rate=[0.1]), "skip": 0
    },
    "depth.keeping_gain": lambda: {"activation": "relu"},
    "depth.kernel": lambda: {
        "activation": "relu", "correlation": 0.5, "variance": 1.0, "slopes": False
    },
    "depth.largest_fisher_eigenvalue": lambda: {
        "inputs": np.eye(3), "depth": 2, "width": 50, "mean_subtracted": True
    },
    "depth.largest_step": lambda: {**trained(), "factor": 2.0},
    "depth.loss_and_gradients": lambda: {
        "network": network(), "parameters": parameters(), "inputs": classes()[0],
        "labels": classes()[1],
    },
    "depth.measure_correlation": lambda: {
        "layer": sbn.depth.Layer("relu"), "correlation": [0.5], "depth": 1, "width": 4,
        "networks": 1, "pairs": 1, "batch_size": 8, "variance": 1.0, "seed": 0,
    },
    "depth.measure_gradients": lambda: {
        "activation": "relu", "batch_size": 4, "depth": 3, "width": 4, "networks": 1, "scale": 1.0,
        "shift": 0.0, "epsilon": 0.0, "settle": 1, "seed": 0,
    },
    "depth.product_conditions": lambda: {
        "factors": 1, "dimension": 2, "replicas": 1, "seed": 0, "normalization": "none"
    },
    "depth.product_spectra": lambda: {"factors": 1, "dimension": 2, "replicas": 1, "seed": 0},
    "depth.relu_features": lambda: {
        "inputs": np.eye(3), "depth": 2, "normalization": "batch", "reference": 2
    },
    "depth.propagate": lambda: {
        "layer": sbn.depth.Layer("relu"), "correlation": [0.5], "depth": 1, "variance": 1.0
    },
    "depth.representation_conditions": lambda: {
        "activation": "relu", "depth": 1, "width": 4, "samples": 6, "replicas": 1, "seed": 0,
        "normalization": "none",
    },
    "depth.second_moments": lambda: {"factors": 2, "dimension": 4},
    "depth.step_moments": lambda: {**trained(), "learning_rate": [0.0, 0.1]},
    "depth.stepped": lambda: {
        "parameters": parameters(), "gradients": parameters(), "learning_rate": 0.1
    },
    "depth.teacher_classes": lambda: {
        "samples": 4, "inputs": 3, "classes": 2, "generator": np.random.default_rng(0)
    },
    "depth.train": lambda: {**trained(), "learning_rate": 0.1, "batch_size": 4, "epochs": 1},
    "depth.typical_condition_number": lambda: {"factors": 1, "dimension": 3},
    "geometry.ReluNetwork": lambda: {
        "layers": (sbn.geometry.Layer(np.ones((2, 2)), np.zeros(2)),)
    },
    "geometry.affine_distances": lambda: {"network": relu_network(), "points": np.ones((2, 2))},
    "geometry.boundary_jitter": lambda: {
        "batch_size": [2, 4], "fields": None, "shift": 0.0, "batches": 2, "replicas": 2, "seed": 0
    },
    "geometry.flip_rate": lambda: {"batch_size": [2, 4], "sample": "inside"},
    "geometry.folded_distances": lambda: {
        "found": sbn.geometry.partition(relu_network(), [[-1, 1], [-1, 1]]),
        "points": np.ones((2, 2)),
    },
    "geometry.least_squares_offset": lambda: {
        "network": relu_network(), "data": cloud()[0], "layer": 0
    },
    "geometry.margins": lambda: {
        "network": relu_network(), "points": cloud()[0], "labels": cloud()[1]
    },
    "geometry.partition": lambda: {"network": relu_network(), "bounds": [[-1, 1], [-1, 1]]},
    "geometry.point_cloud": lambda: {"name": "moons", "samples": 10, "seed": 0, "noise": 0.1},
    "geometry.polygons": lambda: {
        "found": sbn.geometry.partition(relu_network(), [[-1, 1], [-1, 1]])
    },
    "geometry.train_classifier": lambda: {
        "points": cloud()[0], "labels": cloud()[1], "batch_size": 4, "statistics": "batch",
        "widths": (3,), "learning_rate": 0.1, "steps": 2, "replicas": 1, "seed": 0,
    },
    "layers.batch_norm_backward": lambda: {"upstream": np.ones((4, 4)), "cache": cache()},
    "layers.batch_norm_forward": lambda: {
        "x": np.eye(4), "gamma": np.ones(4), "beta": np.zeros(4), "epsilon": 1e-5,
        "channel_axis": 1,
    },
    "layers.batch_norm_inference": lambda: {
        "x": np.eye(4), "mean": np.zeros(4), "variance": np.ones(4), "gamma": np.ones(4),
        "beta": np.zeros(4), "epsilon": 1e-5, "channel_axis": 1,
    },
    "layers.moving_averages": lambda: {
        "mean": np.zeros(4), "variance": np.ones(4), "cache": cache(), "momentum": 0.1
    },
    "layers.population_norm_backward": lambda: {
        "upstream": np.ones((3, 3)), "upstream_bias": np.ones(3), "cache": population_cache()
    },
    "layers.population_norm_forward": lambda: {
        "weights": np.eye(3), "gamma": np.ones(3), "beta": np.zeros(3), "mean": np.zeros(3),
        "covariance": np.eye(3),
    },
    "layers.weight_norm_backward": lambda: {"upstream": np.ones((3, 3)), "cache": weights_cache()},
    "layers.weight_norm_forward": lambda: {"weights": np.eye(3), "gamma": np.ones(3)},
    "offline.batch_normalized": lambda: {
        "load": 2.0, "batch_size": 4, "label_noise": 0.5, "growth": 1.0, "uneven_weights": False,
        "spectrum": spectrum(),
    },
    "offline.best_batch_size": lambda: {"load": 2.0, "label_noise": 0.5, "growth": 1.0},
    "offline.least_squares": lambda: {
        "load": 2.0, "label_noise": 0.5, "spectrum": spectrum()
    },
    "offline.replica_symmetric": lambda: {
        "activation": "linear", "load": [2.0], "ridge": 0.1, "label_noise": 0.5,
        "start": sbn.OrderParameters(0.9), "warm_start": False, "spectrum": spectrum(),
        "progress": False,
    },
    "offline.ridge": lambda: {
        "load": 2.0, "ridge": 0.1, "label_noise": 0.5, "spectrum": spectrum()
    },
    "offline.train": lambda: {
        "setup": setup(), "load": 2.0, "learning_rate": 0.1, "dimension": 4, "replicas": 1,
        "epochs": 1, "seed": 0, "device": "cpu", "ridge": 0.0, "progress": False,
    },
    "online.rates.effective": lambda: {
        "setup": setup(), "state": sbn.OrderParameters(), "learning_rate": 0.5
    },
    "online.rates.equilibrium": lambda: {
        "setup": sbn.TeacherStudent("linear", "weight", 4, 0.5, 0.0, 0.1), "learning_rate": 0.5
    },
    "online.rates.fixed_point": lambda: {"setup": setup(), "learning_rate": 1.0, "length": 1.0},
    "online.rates.directions": lambda: {
        "setup": setup(), "state": sbn.OrderParameters(overlap=0.5), "inputs": spectrum()
    },
    "online.rates.late_time": lambda: {
        "setup": setup(), "time": [100.0, 1000.0], "inputs": spectrum()
    },
    "online.rates.maximum": lambda: {
        "setup": setup(), "state": sbn.OrderParameters(overlap=0.5), "inputs": spectrum()
    },
    "online.rates.modes": lambda: {"setup": setup(), "inputs": spectrum(), "length": 1.0},
    "online.rates.plateau": lambda: {
        "setup": sbn.TeacherStudent("erf", "none", 1, student_units=2, teacher_units=2),
        "learning_rate": 0.5, "length": 1.0, "readout": 1.0,
    },
    "online.rates.table": lambda: {"batch_size": 8, "gamma_decay": 0.0, "length": 1.0},
    "online.schedules.Schedule": lambda: {
        "name": "ours", "factor": lambda t: 1.0, "breakpoints": (), "parameters": {}
    },
    "online.schedules.constant": lambda: {"factor": 1.0},
    "online.schedules.cosine": lambda: {"duration": 10.0, "final": 0.0},
    "online.schedules.inverse_time": lambda: {"timescale": 10.0},
    "online.schedules.step": lambda: {"time": [1.0], "factor": 0.1},
    "online.schedules.table": lambda: {"time": [0.0, 1.0], "factor": [1.0, 0.5]},
    "online.schedules.warm_up": lambda: {"duration": 1.0, "initial": 0.0, "then": None},
    "study.decide": lambda: {"effect": replicas(), "rest": None},
    "study.distances": lambda: {"points": replicas()},
    "study.judge": lambda: {"values": replicas(), "expected": "=1", "comparisons": 1},
    "study.mean_and_error": lambda: {"values": xr.DataArray([1.0, 2.0, 4.0], dims="replica")},
    "study.limit": lambda: {"replicas": 8, "comparisons": 1},
    "study.results": lambda: {
        "script": script(), "options": sbn.study.Options(store=sbn.study.Path("study.zarr"))
    },
    "study.run": lambda: {
        "parts": {"part": (squares, {"learning_rate": [1.0]})}, "figures": lambda tree: {},
        "options": sbn.study.Options(store="study.zarr", workers=1, dry_run=True),
    },
    "study.simulate": lambda: {
        "parts": {"part": (squares, {"learning_rate": [1.0]})},
        "options": sbn.study.Options(store=sbn.study.Path("study.zarr"), workers=1),
    },
    "sweeps.plan": lambda: {
        "function": squares, "grid": {"learning_rate": [1.0, 2.0]}, "seed": None, "workers": 1,
        "processes": False, "scheduler": None, "chunk_points": None,
    },
    "sweeps.point_seed": lambda: {"seed": 0, "point": {"learning_rate": 1.0}},
    "normalization.normalization": lambda: {"description": "ghost(4)"},
    "symbolic.own_weight": lambda: {"order": 1},
    "symbolic.gradient_multiplier": lambda: {
        "activation": "linear", "normalization": "batch", "batch_size": 8
    },
    "symbolic.batch_field_averages": lambda: {"activation": "linear"},
    "symbolic.batch_moments": lambda: {"statistics": "correlated", "part": "both", "order": 1},
    "symbolic.batch_norm_gradient": lambda: {
        "batch_size": 2, "variance_floor": sp.Symbol("epsilon", positive=True)
    },
    "symbolic.boundary_variance": lambda: {"field": "any"},
    "symbolic.correlation_kernel": lambda: {"activation": "linear", "slopes": False},
    "symbolic.correlation_map": lambda: {
        "activation": "linear", "normalization": "none", "variance": 1
    },
    "symbolic.divergence_learning_rate": lambda: {"activation": "linear"},
    "symbolic.effective_learning_rate": lambda: {"normalization": "weight"},
    "symbolic.equilibrium": lambda: {"normalization": "weight"},
    "symbolic.field_averages": lambda: {"activation": "linear"},
    "symbolic.fixed_point": lambda: {"normalization": "weight", "activation": "linear"},
    "symbolic.flip_rate": lambda: {"sample": "inside"},
    "symbolic.flow_jacobian": lambda: {"normalization": "weight"},
    "symbolic.fuss_catalan": lambda: {"s": 1},
    "symbolic.gamma_decay": lambda: {
        "statistics": "independent", "log_partition": None, "field": "any", "label_mean": None
    },
    "symbolic.gaussian_average": lambda: {
        "expression": x**2, "variables": [x], "covariance": sp.eye(1)
    },
    "symbolic.generalization_error": lambda: {"activation": "linear"},
    "symbolic.independent_gamma_decay": lambda: {"activation": "linear"},
    "symbolic.late_correlation": lambda: {"activation": "relu"},
    "symbolic.late_time": lambda: {"normalization": "weight", "activation": None},
    "symbolic.least_squares_offset": lambda: {"folded": False},
    "symbolic.linear_scale": lambda: {"order": 1},
    "symbolic.maximum_learning_rate": lambda: {"normalization": "weight", "activation": None},
    "symbolic.offline.ridge_error": lambda: {"explicit": True},
    "symbolic.offline.uneven_weights_error": lambda: {"variance": x**2},
    "symbolic.order_parameter_flow": lambda: {"normalization": "weight", "activation": None},
    "symbolic.position_decay": lambda: {"statistics": "correlated", "part": "both"},
    "symbolic.spread_moment": lambda: {"power": 2},
}  # fmt: skip

if find_spec("torch"):
    from good_networks import NETWORKS

    GOOD |= NETWORKS
