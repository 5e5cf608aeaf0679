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
# # Is batch normalization a kind of dropout that widens margins?
#
# The boundary of a unit depends on the mini-batch, so it jitters while the network learns.
# Balestriero and Baraniuk (2022) liken this to dropout, and expect wider margins. How large is the
# jitter, how many samples change sides by it, and do margins widen?

# %%
# %matplotlib inline
import sympy as sp
from IPython.display import Math, display

import statmech_bn as sbn

boundary_jitter = sbn.study.load("boundary_jitter")


# %%
def show(name, expression):
    """Typeset an equation."""
    display(Math(f"{name} = {sp.latex(expression)}"))


# %% [markdown]
# ## Derivation
#
# For standardized fields the boundary is at $\mu_B-b\sigma_B$ with $b=\beta/\gamma$. Its mean
# square displacement is, for a field of skewness $\kappa_3$ and excess kurtosis $\rho_h$,

# %%
show(r"\delta^2", sbn.symbolic.boundary_variance())

# %% [markdown]
# to order $1/M$. At $b=0$ this is $1/M$ exactly; Gaussian fields have at any $b$ and $M$

# %%
show(r"\delta^2", sbn.symbolic.boundary_variance("gaussian"))

# %% [markdown]
# A sample changes sides if $u$ and $u-\mu_B$ differ in sign. If it belongs to the batch, both are
# Gaussians of correlation $\sqrt{1-1/M}$; Price's theorem gives the probability of the
# orthants, and

# %%
show(r"p_\mathrm{in}", sbn.symbolic.flip_rate("inside"))

# %% [markdown]
# A sample that does not belong to the batch changes sides less often:

# %%
show(r"p_\mathrm{out}", sbn.symbolic.flip_rate("outside"))

# %% [markdown]
# ## Simulation
#
# `python simulations/boundary_jitter.py` makes the store that we open here. Without it, a small one
# is made now, in a temporary folder.

# %%
tree = sbn.study.results(boundary_jitter)
figures = boundary_jitter.figures(tree)
figures["jitter"]()

# %% [markdown]
# Batches of digits are drawn without replacement, so their means scatter less once the batch is a
# sizeable part of the set. At small $M$ and $\beta\neq0$ the theory for digits lacks orders beyond
# $1/M$.

# %%
figures["flips"]()

# %% [markdown]
# One unit follows its theory. The layers of a random network do not follow the arcsine: the inputs
# of a deeper layer jitter themselves.

# %%
boundary_jitter.scores(tree, "gaussian").round(3)

# %% [markdown]
# ## Margins
#
# A small classifier of two moons learns with mini-batches, normalized either by the batch or by the
# whole training set. Both see the same batches and start from the same weights; only the first one
# jitters. The margin is the signed distance of a training sample from the decision boundary, found
# exactly.

# %%
figures["margin"]()

# %%
boundary_jitter.margin_gain(tree).round(3)

# %% [markdown]
# ## Claims

# %%
claims = boundary_jitter.claims(tree)
claims.round(3)

# %% [markdown]
# In words:

# %%
table = claims.set_index(["claim", "where"])
for where in ("gaussian", "digits", *(f"network, layer {k}" for k in (1, 2, 3))):
    found = table.loc[(boundary_jitter.ARCSINE, where)]
    number = f"{found['measured']:.3f} ± {found['standard error']:.3f}"
    print(f"flips, {where}: {number} of the arcsine law ({found['verdict']})")
for claim in claims["claim"].unique()[-3:]:
    verdicts = table.loc[claim]["verdict"]
    gains = table.loc[claim]["measured"]
    summary = ", ".join(
        f"{where.split('= ')[1]}: {gains[where]:+.3f} ({verdicts[where]})" for where in gains.index
    )
    print(f"{claim}? M = {summary}")

# %% [markdown]
# With enough classifiers (the full run has 16) the gain stands out of the noise: jitter widens the
# mean margin, the more the smaller the batch, and gradient noise alone does not. It is a trade:
# very small batches lose the samples next to the boundary, and accuracy with them. And it is partly
# a matter of time: a longer training (`--steps 8000`) narrows the gain of the mean, while that of
# the lowest tenth stays.
#
# ## What to try next
#
# - `sbn.geometry.boundary_jitter(..., fields=...)` with the fields of your own data.
# - `sbn.geometry.train_classifier(..., learning_rate=...)`: what does a larger step change?
# - `sbn.geometry.point_cloud("moons", 60)`: is more gained where samples are few?
