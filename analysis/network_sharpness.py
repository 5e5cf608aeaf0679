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
# # How sharp is the minimum?
#
# Four claims about the largest eigenvalue $\lambda$ of the Hessian of the training loss: it falls
# with the learning rate and rises with the batch size (Keskar et al. 2017), so that $\eta/M$ alone
# sets it (Jastrzębski et al. 2017); gradient descent drives it up to the edge of stability $2/\eta$
# (Cohen et al. 2021); batch normalization makes it smaller (Santurkar et al. 2018).

# %%
# %matplotlib inline
import pandas as pd

import statmech_bn as sbn

network_sharpness = sbn.study.load("network_sharpness")

# %% [markdown]
# ## Derivation
#
# With batch normalization the loss does not change with the length of a layer's weights,
# $\mathcal L(cw)=\mathcal L(w)$. Two derivatives give $H(cw)=H(w)/c^2$: longer weights alone are
# flatter. As every step is orthogonal to $w$, they never become shorter, and grow the faster the
# larger $\eta$ is. What has a meaning of its own is the curvature $\tilde\lambda$ with respect to
# $w/|w|$, for one layer $|w|^2\lambda$; gradient descent is stable where
# $(\eta/|w|^2)\,\tilde\lambda<2$.
#
# The sharpness also depends on how far a training has come: the Hessian of the cross-entropy
# vanishes as the probabilities become 0 and 1. We compare trainings of the same $\eta t$, learning
# rate times steps, which is the time of the gradient flow that all of them follow but for noise and
# finite steps.

# %% [markdown]
# ## Simulation
#
# `python simulations/network_sharpness.py` makes the store that we open here. Without it, a small
# one is made now, in a temporary folder.

# %%
tree = sbn.study.results(network_sharpness)
figures = network_sharpness.figures(tree)

# %%
figures["end"]()

# %% [markdown]
# Gradient descent, that is, the largest batch size, on its way:

# %%
figures["descent"]()

# %% [markdown]
# ## What the claims come to
#
# Differences are between runs of the same replica; errors are standard errors over replicas. The
# exponents are fits of $\ln\lambda=a\ln\eta+b\ln M+$ const. to the ends of all trainings.

# %%
network_sharpness.verdicts(tree).round(3)

# %% [markdown]
# How far the trainings have come: loss at the end, by batch size and learning rate.

# %%
ends = {
    k: d["training_loss"].isel(training_time=-1) for k, d in network_sharpness.trained(tree).items()
}
pd.concat(
    {kind: d.mean("replica").to_pandas().round(3) for kind, d in ends.items()}, names=["network"]
)

# %% [markdown]
# The length of the weights explains little of the fall of $\lambda$ with $\eta$ in trainings as
# short as these: the scale-free sharpness falls nearly as fast. Beyond the edge, where no gradient
# descent stays in a quadratic minimum, a network without normalization is thrown about by large
# steps, and its loss is behind that of the others; with batch normalization it approaches the edge
# from below.
#
# ## What to try next
#
# - `--time 204.8`: does weight growth take over, as in the teacher–student model's late time?
# - `--depth 8`: gradients of deep batch-normalized networks explode at the start, and sharpness?
