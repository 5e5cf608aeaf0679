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
# # Is momentum a larger learning rate?
#
# A heavy ball adds a part $\beta$ of its last step to the next one. We let students learn with it,
# by a chain that is exact at every $N$, and ask what is left of $\beta$ beside the rate
# $\eta/(1-\beta)$: while learning, and at rest with weight decay.

# %%
# %matplotlib inline
import sympy as sp

import statmech_bn as sbn

momentum = sbn.study.load("momentum")

# %% [markdown]
# ## Derivation
#
# At rest a normalized student takes steps $p$ of variance $\eta^2g^2/(1-\beta^2)$, $g^2\propto 1/Q$
# that of a gradient. Slowly seen it makes steps $\eta g/(1-\beta)$: with $x=\eta\lambda/N$,

# %%
x, beta, eta, g, Q = sp.symbols("x beta eta g Q", positive=True)
grows = (eta * g / (1 - beta)) ** 2
Q_rest = sp.solve(grows - 2 * x / (1 - beta) * Q, Q)[0]
sp.sqrt(sp.simplify(eta**2 * g**2 / (1 - beta**2) / Q_rest))

# %% [markdown]
# is the angle per step (Wan et al. 2021), whatever the gradients are. As $g^2\propto 1/Q$, it is
# $Q^2$ that goes to its rest exponentially, with $4\eta\lambda/(1-\beta)$; that is $2\eta\lambda$
# for $Q$ far above it:

# %%
q, rest = sp.symbols("q q_infty", positive=True)  # Q² and its value at rest
velocity = 2 * sp.sqrt(q) * (2 * x / (1 - beta)) * (rest / sp.sqrt(q) - sp.sqrt(q))
sp.factor(velocity)

# %% [markdown]
# And rates that grow by $\alpha^{-2}$ in each step equal the decay exactly (Li & Arora 2020):

# %%
first, growth, other, start = sbn.momentum.growth_for_decay(0.1, 0.3, 0.9, 30)
print(f"rate {first:.6f}, growth {growth:.6f}, momentum {other:.6f}, first step {start:.6f} w")

# %% [markdown]
# ## Simulation
#
# `python simulations/momentum.py` makes the store that we open here. Without it, a small one is
# made now, in a temporary folder.

# %%
tree = sbn.study.results(momentum)
figures = momentum.figures(tree)
tables = momentum.tables(tree)

# %% [markdown]
# At small $N$ the heavy ball lags by about $\beta/(1-\beta)$ steps; at large $N$ these are no time:

# %%
figures["learning"]()

# %% [markdown]
# The angle per step at rest, a line for each momentum at the same $\eta/(1-\beta)$:

# %%
figures["angle"]()

# %%
tables["angle per step by theory's"].round(4)

# %% [markdown]
# Students that begin too long go to rest with $e^{-4x}$:

# %%
figures["approach"]()

# %%
tables["rate of approach in units of ηλ/(1 − β)"].round(2)

# %% [markdown]
# With growing rates and no decay, every student is where it is with decay, sample by sample:

# %%
tables["largest difference from the runs with weight decay"]

# %% [markdown]
# ## What the claims come to

# %%
for claim, (effect, rest) in momentum.claims(tree).items():
    print(f"{claim}: {sbn.study.decide(effect, rest)}.")

# %% [markdown]
# ## What to try next
#
# - A ReLU student, or none of the normalizations: `sbn.TeacherStudent("relu", "none", 8)`.
# - A momentum of 0.99 with $N=30$: it takes longer than learning does.
# - Decay of the scale: `gamma_decay`, which has no growing rates that equal it.
