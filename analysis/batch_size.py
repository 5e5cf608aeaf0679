# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Which batch size generalizes best?
#
# A small batch shrinks the output of a normalized student, and with noisy labels a student that
# shrinks generalizes better. Too small a batch shrinks too much.

# %%
# %matplotlib inline
from IPython.display import Math

import statmech_bn as sbn

batch_size = sbn.study.load("batch_size")

# %% [markdown]
# ## Derivation
#
# Above $\alpha=1$ batch normalization is least squares shrunken by the mean spread $s_M$ of $M$
# unit Gaussians. The best batch size, to leading order in $1/M$, is

# %%
Math(r"M^\ast = " + sbn.codegen.latex(sbn.symbolic.offline.best_batch_size()))

# %% [markdown]
# ## Simulation
#
# `python simulations/batch_size.py` makes the store that we open here.
# Without it, a small one is made now, in a temporary folder.

# %%
tree = sbn.study.results(batch_size)

# %%
figures = batch_size.figures(tree)
figures["error"]()

# %%
batch_size.tables(tree)["best batch size"].round(2)

# %% [markdown]
# The table compares like with like: a parabola in $\log M$ through the simulated errors (standard
# errors over training sets) and through the theory at the same batch sizes. The minimum of the
# theory itself is beside it, and $M^\ast$ of least squares that is only shrunken. Weighting samples
# unevenly costs more in small batches, so it moves the best batch size up.
#
# The ridge of the published picture (population normalization with the gamma decay that a batch is
# worth) asks for larger batches the more data there are; batch normalization itself does not know
# of the load but through the least-squares solution that it shrinks.
#
# ## What to try next
#
# - More label noise: how small does the best batch get?
# - Annealing matters: train at a constant learning rate and compare.
