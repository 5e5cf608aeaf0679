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
# # Do deep features forget the input?
#
# Two inputs of correlation $c$ go through a wide random layer. What is their correlation behind it,
# and after many layers? Bjorck, Gomes & Selman (2018) see gradients that do not depend on the input
# in deep networks without batch normalization. If all inputs look alike up there, they cannot.

# %%
# %matplotlib inline
from IPython.display import Math, display

import statmech_bn as sbn

depth_correlation = sbn.study.load("depth_correlation")

s = sbn.symbolic


# %%
def show(name, expression):
    """Typeset an equation."""
    display(Math(f"{name} = {sbn.codegen.latex(expression)}"))


# %% [markdown]
# ## Derivation
#
# The kernel $\kappa(c)=E[g(u)g(v)]$ of unit Gaussians $u,v$ gives $c'=\kappa(c)/\kappa(1)$. For
# ReLU

# %%
show("c'", s.correlation_map("relu"))

# %% [markdown]
# Near $c=1$ the slope is 1, and what is left vanishes as a power of the depth:

# %%
show("1-c", s.late_correlation("relu"))

# %% [markdown]
# Batch normalization subtracts from every unit its mean over the batch, $\kappa(0)$ in the kernel:

# %%
show("c'", s.correlation_map("relu", "batch"))

# %% [markdown]
# Now $c=0$ attracts and $c=1$ repels, with the slope

# %%
show(r"\chi", s.gradient_multiplier("relu", "batch"))

# %% [markdown]
# This is at the same time the factor by which the mean square of a gradient grows in each layer on
# its way back (Yang et al. 2019): inputs are told apart at the price of exploding gradients.

# %% [markdown]
# ## Simulation
#
# `python simulations/depth_correlation.py` makes the store that we open here. Without it, a small
# one is made now, in a temporary folder.

# %%
tree = sbn.study.results(depth_correlation)
figures = depth_correlation.figures(tree)

# %%
figures["maps"]()

# %% [markdown]
# Lines are the theory; with batch normalization it includes the corrections of order 1/(batch
# size). Points are networks, in which one layer is off by (in standard errors)

# %%
scores = depth_correlation.scores(tree)
scores.round(1)

# %%
figures["depth"]()

# %% [markdown]
# tanh with large weights and biases keeps inputs apart without normalization; its correlations end
# at a fixed point $0<c^*<1$:

# %%
depth_correlation.fixed_points().round(4)

# %% [markdown]
# ## What the claims come to


# %%
ends = {}
for normalization in ("none", "batch"):
    values = depth_correlation.last(tree, normalization)
    mean, error = (part.item() for part in sbn.study.mean_and_error(values))
    ends[normalization] = f"{mean:.3f} ± {error:.3f}"
theory = tree["depth/late"].to_dataset().sel(activation="relu").isel(depth=-1)
ratio = ((1 - theory["correlation"].sel(start=0.0)) / theory["late"]).item()
print("Deep ReLU features forget the input: reproduced.")
print(f"  unrelated inputs end at c = {ends['none']} without normalization")
print(f"  1 - c is {ratio:.2f} of its late-depth power at depth {theory['depth'].item()}")
print("Batch normalization prevents it: reproduced.")
print(f"  unrelated inputs end at c = {ends['batch']}")
print(f"  one layer agrees with theory within {scores.abs().max(axis=None):.1f} standard errors")

# %% [markdown]
# ## What to try next
#
# - Your own activation: `sbn.depth.fixed_point(sbn.depth.Layer(expression, "batch"))`.
# - Weights of tanh at which $\chi=1$: `Layer("tanh", weight_variance=...).gradient_multiplier()`.
# - Narrow networks: how do the deviations grow with depth/width?
