"""One tiny call that works for each public function, from which fuzzed calls are made.

A new public function without an entry here fails a test.
"""

import types
from functools import lru_cache

import numpy as np
import sympy as sp
import xarray as xr
from matplotlib.figure import Figure

import statmech_bn as sbn

ROOMS = (
    "codegen", "depth", "geometry", "layers", "offline", "plot", "rates", "schedules", "study",
    "sweeps", "symbolic",
)  # fmt: skip
RECORDS = {
    "codegen.Program", "depth.FixedPoint", "depth.Gradients", "depth.Parameters", "depth.Pass",
    "geometry.Layer", "geometry.Normalization",
    "layers.BatchNormCache", "layers.WeightNormCache", "plot.Panel",
    "study.Options", "study.Part",
    "study.Figures", "study.Tables", "study.load", "study.main", "study.results",
    "sweeps.Plan", "symbolic.BatchNormGradient",
    "symbolic.FixedPoint", "symbolic.FussCatalan", "symbolic.GammaDecay", "symbolic.LeastSquares",
    "symbolic.RateTableRow",
}  # fmt: skip
"""Classes that hold what functions return, or are checked by the functions that take them."""
NOTHING_TO_PASS = {"depth.digits", "symbolic.learning_rate_table"}

x = sp.Symbol("x", real=True)


def public_functions():
    """Every public function by its name, without the package's."""
    found = {}
    for room in ("", *ROOMS):
        module = getattr(sbn, room) if room else sbn
        for name in module.__all__:
            value = getattr(module, name)
            if not isinstance(value, types.ModuleType) and callable(value):
                found[f"{room}.{name}" if room else name] = value
    left_out = RECORDS | NOTHING_TO_PASS | {"sweeps.sweep"}  # which is sbn.sweep
    return {name: value for name, value in found.items() if name not in left_out}


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


def spectrum():
    return sbn.Spectrum([2, 1], fractions=[0.5, 0.5])


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


def panel(*variables):
    return {"a": table(**dict(variables))}


jitter = {
    "jitter": "batch_size replica", "predicted_jitter": "batch_size",
    "inside": "batch_size replica", "outside": "batch_size replica",
    "predicted_inside": "batch_size", "predicted_outside": "batch_size",
}  # fmt: skip
aligned = {
    f"{name}": "replica layer"
    for name in (
        "gradient_alignment", "alignment_behind", "alignment_weights", "gradient_coherence",
        "gradient_square", "alignment_batch", "alignment_positions", "alignment_channels", "theory",
    )
}  # fmt: skip
shrunk = {
    "gamma": "batch_size replica", "independent": "batch_size", "correlated": "batch_size",
    "exact": "batch_size", "population": "batch_size",
}  # fmt: skip
curve = {"correlation": "start depth"}
measured = {"correlation": "start replica depth"}
kinds = {"batch": "BN", "population": "PN"}

GOOD = {
    "Activation": lambda: {"expression": sp.tanh(x)},
    "Inputs": lambda: {
        "source": np.random.default_rng(0).normal(size=(20, 3)), "mean": None, "covariance": None,
        "name": "data",
    },
    "OrderParameters": lambda: {"overlap": 0.1, "length": 1.0, "gamma": 1.0},
    "Spectrum": lambda: {"eigenvalues": [2, 1], "fractions": [0.5, 0.5], "teacher": [0.3, 0.7]},
    "TeacherStudent": lambda: {
        "activation": "relu", "normalization": "batch", "batch_size": 8, "label_noise": 0.1,
        "gamma_decay": 0.0, "weight_decay": 0.0,
    },
    "activation": lambda: {"description": "relu"},
    "batch_loss": lambda: {
        "activation": "linear", "batch_size": 4, "gamma": [0.5, 1.0], "part": "both",
        "overlap": 1.0, "batches": 4, "replicas": 2, "seed": 0, "field": None, "workers": 1,
    },
    "effective_gamma_decay": lambda: {
        "run": sbn.macroscopic(
            sbn.TeacherStudent(batch_size=4), 0.5, [0, 0.5], sbn.OrderParameters()
        )
    },
    "loss_minimum": lambda: {
        "losses": sbn.batch_loss("linear", 4, np.linspace(0.2, 1.5, 8), batches=8, replicas=2)
    },
    "macroscopic": lambda: level(
        gamma_learning_rate=None, workers=1, schedule=None, inputs=None
    ),
    "mesoscopic": lambda: level(
        dimension=4, replicas=1, seed=0, gamma_learning_rate=None, device="cpu", workers=1,
        schedule=None, inputs=None,
    ),
    "measure": lambda: {
        "weights": np.eye(4)[:3], "teacher": np.ones(4), "gamma": 1.0, "time": [0, 1, 2],
        "inputs": [2, 1, 1, 0.5], "setup": setup(), "learning_rate": 0.1,
    },
    "microscopic": lambda: level(
        dimension=4, replicas=1, seed=0, gamma_learning_rate=None, device="cpu", inputs=None,
        teacher=None, workers=1, schedule=None,
    ),
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
    "codegen.numba_table_function": lambda: {"expressions": [x**2], "arguments": [x]},
    "codegen.numba_vector_function": lambda: {"expressions": [x**2], "arguments": [x]},
    "codegen.numpy_function": lambda: {"expressions": [x**2], "arguments": [x]},
    "codegen.prepare": lambda: {"expressions": [x**2], "arguments": [x]},
    "codegen.stable": lambda: {"expression": sp.log(1 + sp.exp(x))},
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
    "depth.largest_step": lambda: {**trained(), "factor": 2.0},
    "depth.loss_and_gradients": lambda: {
        "network": network(), "parameters": parameters(), "inputs": classes()[0],
        "labels": classes()[1],
    },
    "depth.measure_correlation": lambda: {
        "layer": sbn.depth.Layer("relu"), "correlation": [0.5], "depth": 1, "width": 4,
        "networks": 1, "pairs": 1, "batch_size": 8, "variance": 1.0, "seed": 0,
    },
    "depth.product_conditions": lambda: {
        "factors": 1, "dimension": 2, "replicas": 1, "seed": 0, "normalization": "none"
    },
    "depth.product_spectra": lambda: {"factors": 1, "dimension": 2, "replicas": 1, "seed": 0},
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
    },
    "offline.ridge": lambda: {
        "load": 2.0, "ridge": 0.1, "label_noise": 0.5, "spectrum": spectrum()
    },
    "offline.train": lambda: {
        "setup": setup(), "load": 2.0, "learning_rate": 0.1, "dimension": 4, "replicas": 1,
        "epochs": 1, "seed": 0, "device": "cpu", "ridge": 0.0,
    },
    "plot.against": lambda: {
        "coordinate": "load",
        "panels": {"a": {"b": (table(error="load"), table(error="load replica"))}},
        "variables": ["error"],
    },
    "plot.alignment_axes": lambda: {"panels": {"a": table(**aligned)}},
    "plot.boundary_density": lambda: {
        "panels": {
            "a": {
                "b": table(
                    density="radius layer replica", density_anywhere="radius layer replica"
                )
            }
        },
        "along": "radius",
    },
    "plot.boundary_jitter": lambda: {"panels": {"a": table(**jitter)}},
    "plot.condition_numbers": lambda: {
        "products": {
            "a": table(condition_number="factors replica", typical="factors").assign(growth=0.5)
        },
        "representations": {"b": table(condition_number="depth replica")},
    },
    "plot.correlation_depth": lambda: {"panels": {"a": (table(**curve), table(**measured))}},
    "plot.correlation_maps": lambda: {"panels": {"a": {"b": (table(**curve), table(**measured))}}},
    "plot.curves": lambda: {
        "panels": [sbn.plot.Panel("time", "overlap", [run(), run("mesoscopic")])],
        "colour": "learning_rate", "columns": None, "reference": "", "points": 2,
    },
    "plot.differences": lambda: {
        "panels": {
            "a": {name: [run().isel(learning_rate=0, drop=True)] for name in ("b", "c")}
        },
        "reference": "c", "variables": ["overlap"],
    },
    "plot.effective_decay": lambda: {
        "panels": {
            "a": [
                table(effective_gamma_decay="time").assign(
                    batch_size=4, independent=0.1, correlated=0.2
                )
            ]
        }
    },
    "plot.final_error": lambda: {
        "panels": {"a": {"b": [run(), run("mesoscopic")]}}, "variable": "generalization_error"
    },
    "plot.fit": lambda: {"figure": panels_figure(), "width": 4.0, "height": None, "legend": 0},
    "plot.flip_rates": lambda: {
        "panels": {"a": table(**jitter)},
        "network": table(flip_rate="batch_size replica layer", predicted_inside="batch_size"),
    },
    "plot.gap_epochs": lambda: {
        "rows": {
            "a": table(
                mean_gamma="kind replica epoch", training_loss="kind replica epoch"
            ).assign(batch_size=4)
        },
        "kinds": kinds,
    },
    "plot.gap_shares": lambda: {
        "panels": {
            "a": {"q": table(share="source batch_size", share_error="source batch_size")}
        },
        "quantities": {"q": "the loss"}, "sources": {"a": "A", "b": "B"},
    },
    "plot.gradient_alignment": lambda: {
        "results": {"a": table(**aligned)}, "normalized": table(**aligned), "samples": 4
    },
    "plot.gradient_coherence": lambda: {"results": {4: table(**aligned)}},
    "plot.gradient_noise": lambda: {
        "panels": {
            "a": table(
                noise_with="batch_size replica", noise_without="batch_size replica",
                theory_with="batch_size", theory_without="batch_size",
            )
        }
    },
    "plot.gradient_squares": lambda: {
        "panels": {"a": {1.0: table(gradient_square="replica layer", theory="layer")}},
        "columns": 1,
    },
    "plot.largest_rates": lambda: {
        "panels": {"a": {"b": table(learning_rates="depth replica")["learning_rates"]}}
    },
    "plot.largest_step": lambda: {"results": {"a": table(largest_step="depth factor replica")}},
    "plot.loss_landscape": lambda: {
        "panels": {
            "a": table(
                {"batch_size": 4}, loss="gamma replica", population="gamma", independent="gamma",
                correlated="gamma", penalty="gamma",
            )
        }
    },
    "plot.margins": lambda: {
        "results": {
            "a": table(
                margin="batch_size replica", low_margin="batch_size replica",
                accuracy="batch_size replica",
            )
        }
    },
    "plot.network_kinds": lambda: {
        "rows": {
            "a": table(
                **dict.fromkeys(
                    ("test_accuracy", "test_loss", "training_loss", "mean_gamma"),
                    "kind batch_size replica",
                )
            )
        },
        "kinds": kinds, "title": "kinds",
    },
    "plot.networks_beside_theory": lambda: {
        "panels": [sbn.plot.Panel("layer", "v", [table(v="width replica layer")])],
        "colour": "width", "columns": 1, "names": None, "theory": "theory", "reference": "",
    },
    "plot.partitions": lambda: {
        "panels": {
            "a": {
                "b": sbn.geometry.partition(relu_network(), [[-1, 1], [-1, 1]]).assign(
                    points=(("sample", "coordinate"), cloud()[0])
                )
            }
        }
    },
    "plot.phase_diagram": lambda: {
        "panels": {
            "a": table(generalization_error="batch_size learning_rate").assign(
                diverged_at=table(t="batch_size learning_rate")["t"] * np.nan
            )
        },
        "variable": "generalization_error", "against": "batch_size", "columns": 1,
        "limits": (0.0, np.inf),
    },
    "plot.rate_accuracy": lambda: {
        "results": {
            "a": table(
                test_accuracy="depth learning_rate replica",
                diverged_at="depth learning_rate replica",
            )
        }
    },
    "plot.save_figure": lambda: {"figure": Figure((0.2, 0.2)), "stem": "figure"},
    "plot.shrinkage": lambda: {"panels": {"a": table(**shrunk)}},
    "plot.shrinkage_kurtosis": lambda: {
        "results": table(
            gamma="inputs replica", excess_kurtosis="inputs", batch_size="inputs"
        )
    },
    "plot.shrinkage_parts": lambda: {"panels": {"a": {"mean": table(**shrunk)}}},
    "plot.spectra": lambda: {
        "found": sbn.depth.product_spectra(1, dimension=4, replicas=2), "factors": [1]
    },
    "plot.squared_distance": lambda: {
        "panels": {
            "a": table(
                square_distance="replica displacement", predicted="displacement",
                excess="replica layer",
            )
        }
    },
    "plot.statistics_pull": lambda: {
        "rows": {
            "a": table(
                pull="batch_size replica labels channels part",
                pull_independent="batch_size replica part",
                pull_correlated="batch_size replica part",
            )
        },
        "variable": "pull",
    },
    "plot.step_growth": lambda: {
        "results": {"a": table(growth="learning_rate replica", loss="learning_rate replica")}
    },
    "plot.step_moments": lambda: {
        "panels": {
            "a": table(
                channel_mean="learning_rate replica layer",
                channel_variance="learning_rate replica layer",
            )
        }
    },
    "plot.step_noise": lambda: {
        "panels": {
            "a": table(
                step_noise="batch_size learning_rate replica", theory="batch_size learning_rate"
            )
        }
    },
    "plot.training_gain": lambda: {
        "panels": {"a": {"b": table(accuracy="gain replica")["accuracy"]}}
    },
    "plot.trajectories": lambda: {
        "theory": run(), "chain": run("mesoscopic"), "network": None, "variables": ["overlap"],
        "points": 2,
    },
    "rates.effective": lambda: {
        "setup": setup(), "state": sbn.OrderParameters(), "learning_rate": 0.5
    },
    "rates.equilibrium": lambda: {
        "setup": sbn.TeacherStudent("linear", "weight", 4, 0.5, 0.0, 0.1), "learning_rate": 0.5
    },
    "rates.fixed_point": lambda: {"setup": setup(), "learning_rate": 1.0, "length": 1.0},
    "rates.late_time": lambda: {"setup": setup(), "time": [100.0, 1000.0]},
    "rates.maximum": lambda: {"setup": setup(), "state": sbn.OrderParameters(overlap=0.5)},
    "rates.table": lambda: {"batch_size": 8, "gamma_decay": 0.0, "length": 1.0},
    "schedules.Schedule": lambda: {
        "name": "ours", "factor": lambda t: 1.0, "breakpoints": (), "parameters": {}
    },
    "schedules.constant": lambda: {"factor": 1.0},
    "schedules.cosine": lambda: {"duration": 10.0, "final": 0.0},
    "schedules.inverse_time": lambda: {"timescale": 10.0},
    "schedules.step": lambda: {"time": [1.0], "factor": 0.1},
    "schedules.table": lambda: {"time": [0.0, 1.0], "factor": [1.0, 0.5]},
    "schedules.warm_up": lambda: {"duration": 1.0, "initial": 0.0, "then": None},
    "study.decide": lambda: {"effect": replicas(), "rest": None},
    "study.distances": lambda: {"points": replicas()},
    "study.judge": lambda: {"values": replicas(), "expected": "=1", "comparisons": 1},
    "study.mean_and_error": lambda: {"values": xr.DataArray([1.0, 2.0, 4.0], dims="replica")},
    "study.limit": lambda: {"replicas": 8, "comparisons": 1},
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
    "symbolic.gradient_multiplier": lambda: {"activation": "linear", "normalization": "none"},
    "symbolic.independent_gamma_decay": lambda: {"activation": "linear"},
    "symbolic.late_correlation": lambda: {"activation": "relu"},
    "symbolic.late_time": lambda: {"normalization": "weight", "activation": None},
    "symbolic.least_squares_offset": lambda: {"folded": False},
    "symbolic.linear_scale": lambda: {"order": 1},
    "symbolic.maximum_learning_rate": lambda: {"normalization": "weight", "activation": None},
    "symbolic.order_parameter_flow": lambda: {"normalization": "weight", "activation": None},
    "symbolic.position_decay": lambda: {"statistics": "correlated", "part": "both"},
    "symbolic.spread_moment": lambda: {"power": 2},
}  # fmt: skip


def replicas():
    return xr.DataArray([0.9, 1.0, 1.2], dims="replica")


def panels_figure():
    return sbn.plot.trajectories(run(), variables=["overlap"])
