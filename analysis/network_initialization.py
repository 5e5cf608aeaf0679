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
# # Is batch normalization more than a good initialization?
#
# Balestriero & Baraniuk (2022) find two benefits of batch normalization. It puts the boundaries of
# units where the data are, for random weights already: an initialization that is smart. And the
# statistics of batches are noise, which widens margins. Here both are taken apart: statistics are
# fixed at the start, follow the weights, or are those of each batch.

# %%
# %matplotlib inline
import statmech_bn as sbn

network_initialization = sbn.study.load("network_initialization")

# %% [markdown]
# ## Derivation
#
# Random layers of ReLU of which only the last one is trained are a regression with the kernel
# $\kappa_{ij}$ of two samples' outputs. The correlation of two samples goes through a layer by
#
# $$c'=\frac{\kappa(c)}{\kappa(1)},\qquad\text{normalized}\quad
# c'=\frac{\kappa(c)-\kappa(0)}{\kappa(1)-\kappa(0)},\qquad\kappa(c)=\mathrm E[g(u)g(v)].$$
#
# Without normalization $c\to1$: what samples have in common takes over, and the last layer learns
# it first. With normalization less is in common, but $c\to0$ at a rate per layer: all samples
# become equally different from each other, and a sample says nothing of its neighbours.
# `depth.relu_features` finds the kernel of a given set of samples.

# %%
chi = [sbn.depth.fixed_point(sbn.depth.Layer("relu", kind)) for kind in ("none", "batch")]
chi

# %% [markdown]
# ## Simulation
#
# `python simulations/network_initialization.py` makes the store that we open here. Without it, a
# small one is made now, in a temporary folder.

# %%
tree = sbn.study.results(network_initialization)
figures = network_initialization.figures(tree)

# %% [markdown]
# All layers trained:

# %%
figures["training"]()

# %% [markdown]
# Random layers, of which the last is trained by steps, or to the end by a regression; lines are
# those of infinitely wide layers:

# %%
figures["features"]()

# %% [markdown]
# ## What the claims come to
#
# Differences are between runs of the same replica; errors are standard errors over replicas.

# %%
network_initialization.verdicts(tree).round(3)

# %% [markdown]
# In full runs of eight dense layers the initialization is the benefit that training sees: with
# initial statistics that stay constant the loss is a factor of three lower at the smaller rate than
# without normalization, with a test accuracy that is no different. Statistics that follow the
# weights learn slower at these rates and depth, and generalize worse. The noise of batches does
# what it is said to: the training loss is larger, and the test accuracy higher by 0.15.
#
# Random features are not better for it. Up to four layers both are worth the same; in sixteen
# normalization leaves next to nothing to learn from, as samples have become equally different. The
# kernel of wide layers shows that too, but layers of finite width are far below it.
#
# ## What to try next
#
# - `--depth 3`: what is left of the three steps in shallow networks?
# - `networks.fix_statistics` in a residual network, where depth does no harm.
# - Narrow layers forget the samples sooner than the kernel says: does depth by width decide?
