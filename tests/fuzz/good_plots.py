"""One tiny call that works for each figure."""

import numpy as np
from matplotlib.figure import Figure
from tiny import cloud, committee_run, panels_figure, relu_network, run, table

import statmech_bn as sbn


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

PLOTS = {
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
    "plot.depth_training": lambda: {
        "learned": table(learned="batch_size depth replica")["learned"],
        "predicted": table(predicted="batch_size")["predicted"],
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
    "plot.gradient_growth": lambda: {
        "panels": {
            "a": {
                "b": (
                    table(gradient_multiplier="batch_size"),
                    table(gradient_multiplier="batch_size replica"),
                )
            }
        }
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
    "plot.students": lambda: {
        "results": {"a": [run(), run("mesoscopic")]}, "variables": ["overlap"], "points": 2,
    },
    "plot.training_gain": lambda: {
        "panels": {"a": {"b": table(accuracy="gain replica")["accuracy"]}}
    },
    "plot.overlaps": lambda: {"result": committee_run(), "times": [0.0, 0.5], "replica": 0},
    "plot.trajectories": lambda: {
        "theory": run(), "chain": run("mesoscopic"), "network": None, "variables": ["overlap"],
        "points": 2,
    },
}  # fmt: skip
