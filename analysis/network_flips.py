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
# # How many ReLU units change sides with the mini-batch?
#
# The boundary of a normalized unit moves with the batch, and samples change sides with it, which is
# like dropout (Balestriero & Baraniuk 2022). For Gaussian fields the rate is
# $\arcsin(M^{-1/2})/\pi$. What is $M$ in a convolution, whose statistics are also over positions?

# %%
# %matplotlib inline
import pandas as pd
from IPython.display import Math, display

import statmech_bn as sbn

network_flips = sbn.study.load("network_flips")

pd.set_option("display.max_colwidth", None)

# %% [markdown]
# ## Derivation
#
# The mean of a batch varies as $\rho/M$, with the share $\rho$ of a field's variance that is the
# variance of its mean over positions. The covariance of $u-\mu_B$ with $u$, and its variance, are
# both $1-\rho/M$; two Gaussians differ in sign with the probability $\arccos(\mathrm{corr})/\pi$:

# %%
import sympy as sp

M, rho = sp.symbols("M rho", positive=True)
covariance = 1 - rho / M
correlation = covariance / sp.sqrt(covariance)
display(Math(f"p = {sbn.codegen.latex(sp.acos(correlation) / sp.pi)}"))
assert sp.simplify(sp.sin(sp.acos(correlation)) ** 2 - rho / M) == 0

# %% [markdown]
# which is $\arcsin(M_\mathrm{eff}^{-1/2})/\pi$ with $M_\mathrm{eff}=M/\rho$, between $M$ and $M$
# times the number of positions.

# %% [markdown]
# ## Simulation
#
# `python simulations/network_flips.py` makes the store that we open here. Without it, a small one
# is made now, in a temporary folder.

# %%
tree = sbn.study.results(network_flips)
figures = network_flips.figures(tree)

# %%
figures["rates"]()

# %% [markdown]
# Points on the left: only the layer's own statistics are the batch's; lines are from the measured
# fields. On the right those of all layers are; lines are Gaussian.
#
# How many samples an image counts for, $M_\mathrm{eff}/M$, before and after training:

# %%
ratio = tree["flips"].to_dataset()["samples_ratio"]
ratio.mean("replica").to_pandas().round(1)

# %% [markdown]
# ## What the claims come to

# %%
network_flips.verdicts(tree).round(3)

# %% [markdown]
# With the number of samples, the law is far off in early layers, in the first by more than a factor
# of ten, and close only at the top after training, where features are the same over the image. With
# $M_\mathrm{eff}$ it holds for each layer's own statistics; in a network the layers below add to
# it, most at the top. (The first layer's fields are not Gaussian: most digits are dark at the
# edge.)
#
# ## What to try next
#
# - A dense network, where an image counts for one sample: `statmech_bn.networks.flip_rate`.
# - `--samples 128`: batches without replacement from few samples move less.
