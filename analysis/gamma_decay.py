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
# # Is batch normalization population normalization plus gamma decay?
#
# A batch normalizes with its own mean $\mu_B$ and spread $\sigma_B$, which fluctuate. Luo et al.
# (2019) average over them and find population normalization plus an explicit penalty
# $\zeta\gamma^2$. Is that so, and is $\zeta$ right?

# %%
# %matplotlib inline
import sympy as sp
from IPython.display import Math, display

import statmech_bn as sbn

gamma_decay = sbn.study.load("gamma_decay")

s = sbn.symbolic


# %%
def show(name, expression):
    """Typeset an equation."""
    display(Math(f"{name} = {sbn.codegen.latex(expression)}"))


# %% [markdown]
# ## Derivation
#
# For an exponential family with log-partition $A(\varphi)$ and any field, statistics that are
# independent of the sample that they normalize give

# %%
show(r"\zeta", s.gamma_decay("independent").zeta)

# %% [markdown]
# and for the linear unit, with the excess kurtosis $\rho_h$ of its field,

# %%
show(r"\zeta_\mathrm{independent}", s.gamma_decay("independent", "linear").zeta)

# %% [markdown]
# But the sample is one of the $M$ that make $\mu_B$ and $\sigma_B$: a large $u$ widens the batch by
# itself. Given $u$, the normalized field $\hat u$ has the moments

# %%
shift, square = s.batch_moments("correlated")
show(r"E[\hat u-u\,|\,u]", shift)
show(r"E[(\hat u-u)^2\,|\,u]", square)

# %% [markdown]
# The first is absent from the independent theory. It halves the decay of a linear unit:

# %%
correlated = s.gamma_decay("correlated", "linear")
show(r"\zeta_\mathrm{correlated}", correlated.zeta.subs(s.gamma, 1))

# %% [markdown]
# The penalty itself is not $\zeta\gamma^2$ but

# %%
show(r"P(\gamma)", s.gamma_decay("correlated", "linear", "gaussian").penalty)

# %% [markdown]
# and all orders are known for Gaussian fields: $\gamma$ stops at $R\,E[\sigma_B/\sigma_P]$,

# %%
show("s_M", s.spread_moment(1))
show("s_M", s.linear_scale(2) + sp.Symbol("O(M^{-3})"))

# %% [markdown]
# ## Simulation
#
# `python simulations/gamma_decay.py` makes the store that we open here. Without it, a small one is
# made now, in a temporary folder.

# %%
tree = sbn.study.results(gamma_decay)
figures = gamma_decay.figures(tree)

# %% [markdown]
# The exact chain learns with the direction of its teacher, and $\gamma$ comes to rest:

# %%
figures["shrinkage"]()

# %%
gamma_decay.scores(tree, "linear").round(3)

# %%
gamma_decay.scores(tree, "relu").round(3)

# %% [markdown]
# The independent theory is wrong by a factor of two. What the correlated one leaves is of order
# $1/M^2$ for the linear unit; for ReLU it is of order $M^{-3/2}$, since $u$ and $\hat u$ can lie on
# two sides of the kink.
#
# Which statistic does it? For the linear unit $\sigma_B$ alone; the mean $\mu_B$ does nothing:

# %%
figures["parts"]()

# %% [markdown]
# The field need not be Gaussian. The network itself, on inputs with heavy and light tails and on
# real handwritten digits, follows the same law in the kurtosis of its field:

# %%
figures["kurtosis"]()

# %% [markdown]
# ## What is right about $\zeta\gamma^2$, and what is not
#
# The independent penalty has the height of the loss of batch normalization at $\gamma=1$, but twice
# its slope. No $\zeta\gamma^2$ has both: the true penalty is linear in $\gamma$.

# %%
figures["landscape"]()

# %% [markdown]
# While a student learns, the decay that batch statistics are worth is not constant. It is a
# variable that can be read off any run with batch normalization:

# %%
figures["effective"]()

# %% [markdown]
# How closely does population normalization with each decay follow the whole trajectory?

# %%
figures["trajectories"]()

# %%
gamma_decay.distances(tree, "linear").round(4)

# %%
gamma_decay.distances(tree, "relu").round(4)

# %% [markdown]
# With the correlated decay $\gamma$ follows, and the whole state $(R,\log L,\gamma)$ is closer to
# batch normalization. The overlap alone is not: it turns too fast. The loss of the linear unit is
# $\frac12(1+\gamma^2)-\gamma R\,s_M$, so that the same $s_M$ slows down the weights, which no
# penalty on $\gamma$ does; the independent decay makes up for it by a $\gamma$ that is too small.
# Reducing the learning rate of the weights by $3/(4M)$ mends the overlap, and leaves the length.

# %% [markdown]
# ## What to try next
#
# - `sbn.stationary_gamma("tanh", [16, 64])`: the two theories are not a factor of two apart for
#   every activation.
# - `sbn.batch_loss(..., field=scipy.stats.gamma(4))`: skewed fields.
# - Mean-only batch normalization is `part="mean"`: how does it shift a unit with a threshold?
