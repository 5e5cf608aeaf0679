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
# # What does dropout do to batch normalization?
#
# With masks, a unit's variance is larger than at inference, where the running statistics expect it
# to be as large (Li et al. 2019: the variance shift). We derive what is left of a linear student
# whose inputs, or whose normalized output, are dropped, and let students learn with masks.

# %%
# %matplotlib inline
import sympy as sp

import statmech_bn as sbn

dropout = sbn.study.load("dropout")

# %% [markdown]
# ## Derivation
#
# Over masks $a/p$, a value of mean $m$ and variance 1 has the variance

# %%
p, m, gamma, R, s = sp.symbols("p m gamma R s_M", positive=True)
sp.factor(p * (1 + m**2) / p**2 - m**2)

# %% [markdown]
# Inputs of mean 0 make fields of variance $Q/p$ and correlation $\sqrt pR$ with the teacher's. The
# averages over masks and batches have their minimum at

# %%
before = (1 - 2 * gamma * s * sp.sqrt(p) * R + gamma**2) / 2
behind = (1 - 2 * gamma * s * R + gamma**2 / p) / 2
[sp.solve(loss.diff(gamma), gamma)[0] for loss in (before, behind)]

# %% [markdown]
# At inference the first is multiplied by the root of the shift, $\sqrt p$: both are then $s_MpR$.
# Dropout behind the normalization shifts nothing, and shrinks a linear unit just as much.

# %% [markdown]
# ## Simulation
#
# `python simulations/dropout.py` makes the store that we open here. Without it, a small one is made
# now, in a temporary folder.

# %%
tree = sbn.study.results(dropout)
figures = dropout.figures(tree)
tables = dropout.tables(tree)

# %% [markdown]
# Masks on the inputs are worth a noise $(1-p+\Delta^2)/p$ of the labels and the rate $\eta p$: N
# weights with masks follow flow and chain of a student without them:

# %%
figures["learning"]()

# %%
figures["rest"]()

# %%
tables["scale, running statistics"].round(3)

# %% [markdown]
# ## What the claims come to

# %%
for claim, (effect, rest) in dropout.claims(tree).items():
    print(f"{claim}: {sbn.study.decide(effect, rest)}.")

# %% [markdown]
# ## What to try next
#
# - Inputs that are not centred: `sbn.inference.variance_shift(0.8, mean=2.0)`.
# - Large batches with dropout behind, against small ones without: which $p$ shrinks like $s_M$?
