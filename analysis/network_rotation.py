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
# # How far does a step turn the weights of a network with weight decay?
#
# Behind normalization the length of weights is not seen by the loss, only by the learning rate.
# With weight decay it comes to rest, where the angle of a step is known (Wan et al. 2021). The
# notebook `momentum` has this in the solvable model; here are the channels of a network.

# %%
# %matplotlib inline
import sympy as sp
from IPython.display import Math, display

import statmech_bn as sbn

network_rotation = sbn.study.load("network_rotation")


# %%
def show(name, expression):
    """Typeset an equation."""
    display(Math(f"{name} = {sbn.codegen.latex(expression)}"))


# %% [markdown]
# ## Derivation
#
# A gradient $g/|w|$ is orthogonal to $w$. Without momentum a step changes $Q=|w|^2$ by
# $-2\eta\lambda Q+\eta^2g^2/Q$, and it turns $w$ by $\theta=\eta g/Q$. At rest

# %%
eta, lam, g, Q = sp.symbols("eta lambda g Q", positive=True)
[rest] = sp.solve(-2 * eta * lam * Q + eta**2 * g**2 / Q, Q)
show(r"Q_\infty", rest)
show(r"\theta", sp.simplify(eta * g / rest))

# %% [markdown]
# in which $g$, and with it the loss and the data, is no longer seen. With momentum $\beta$ an
# update is a sum of independent gradients, and
# $\theta_\infty=\sqrt{2\eta\lambda/(1+\beta)}$ (`sbn.momentum.equilibrium_angle`). That needs
# gradients without a common direction: what they have in common turns weights the same way in each
# step.
#
# Lengths of a network that still learns are not quite at rest. In the time
# $\tau=2\eta\lambda t/(1-\beta)$ the same equation is
#
# $$\theta^2=\theta_\infty^2\left(1+\frac{\mathrm d\ln|w|^2}{\mathrm d\tau}\right):$$
#
# a step turns weights more while they grow, and less while they shrink.

# %% [markdown]
# ## Simulation
#
# `python simulations/network_rotation.py` makes the store that we open here. Without it, a small
# one is made now, in a temporary folder.

# %%
tree = sbn.study.results(network_rotation)
figures = network_rotation.figures(tree)

# %%
figures["rest"]()

# %% [markdown]
# On the way to the rest gradients still change, which the dashed line leaves out:

# %%
figures["approach"]()

# %% [markdown]
# ## What the claims come to

# %%
network_rotation.tables(tree)["verdicts"]

# %% [markdown]
# ## What to try next
#
# - Smaller decays, `--decays 0.0005 0.001`: weights rest later, and steps turn them less.
# - Learning rates that grow by $(1-\eta\lambda)^{-2}$ in each step instead of weight decay.
