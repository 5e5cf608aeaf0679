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
# # What should inference show a sample?
#
# In training a sample is one of the $M$ by which it is normalized. It pulls mean and spread towards
# itself, so that what is shown of it, $\hat u$, is not $u$ even on average. Summers & Dinneen
# (2020) let inference use the example's own statistics with a weight $a$.
# We derive the weight that shows what training did, and ask students who learned with batch
# normalization whether it helps.

# %%
# %matplotlib inline
from IPython.display import Math, display

import statmech_bn as sbn

inference = sbn.study.load("inference")

s = sbn.symbolic


# %%
def show(name, expression):
    """Typeset an equation."""
    display(Math(f"{name} = {sbn.codegen.latex(expression)}"))


# %% [markdown]
# ## Derivation
#
# For Gaussian fields $E[\hat u-u\,|\,u]$ is, to order $1/M$ (excess kurtosis and skewness are 0),

# %%
shift = s.batch_moments("correlated")[0].subs({s.excess_kurtosis: 0, s.skewness: 0})
show(r"E[\hat u-u\,|\,u]", shift.expand())

# %% [markdown]
# With a weight $a$ on its own mean $u$ and mean square $u^2$, and a factor $c$ on $\gamma$,
# inference shows $c\sqrt{1-a}\,u/\sqrt{1+au^2}$. Equal coefficients of $u$ and
# $u^3$ give, one order further,

# %%
for name, expression in zip("ac", s.own_weight(2), strict=True):
    show(name, expression)

# %% [markdown]
# The loss is another matter. To order $1/M$ training exceeds inference by
# $\frac{\gamma}{M}E[\ell'(\gamma u)(\frac34u-\frac12u^3)]
# +\frac{\gamma^2}{2M}E[\ell''(\gamma u)(1+\frac12u^2)]$,
# of which own statistics change the first term only.

# %% [markdown]
# ## Simulation
#
# `python simulations/inference.py` makes the store that we open here. Without it, a small one is
# made now, in a temporary folder.

# %%
tree = sbn.study.results(inference)
figures = inference.figures(tree)
tables = inference.tables(tree)

# %%
figures["mean"]()

# %% [markdown]
# The weight and the scale with which inference is nearest to training, beside the derived ones:

# %%
tables["aM and (c − 1)M of the inference nearest to training; to order 1/M²"].round(3)

# %% [markdown]
# Students that learned by the chain have the predicted gap in the loss:

# %%
figures["gap"]()

# %% [markdown]
# But own statistics do not lower their loss, neither with the derived scale nor with the best one.
# The teacher is a function of $u$. Given $\hat u$, the mean of $u$ is $E[\sigma_B]\,\hat u$,
# without any cubic term: $E[\hat u|u]$ bends, $E[u|\hat u]$ does not. What a single unit wants at
# inference is its scale back, $\gamma/E[\sigma_B]$. Own statistics can help only where something
# behind the normalization has learned to expect what training showed:

# %%
figures["loss"]()

# %% [markdown]
# Running averages of momentum $m$ are independent of the sample, and as good as $M(2-m)/m$ samples.
# Where $|w|$ grows the running variance lags, which at rest, $\gamma<1$, makes up for a part of the
# shrinking, and the excess can become negative (not drawn):

# %%
figures["running"]()

# %% [markdown]
# ## What the claims come to

# %%
for claim, (effect, rest) in inference.claims(tree).items():
    print(f"{claim}: {sbn.study.decide(effect, rest)}.")

# %% [markdown]
# ## What to try next
#
# - Another unit: `sbn.inference.first_order_gap("tanh", gamma=0.9)`.
# - A student that has not learned yet: `overlap=0.3`. Does own weight help there?
# - The same in a convolution, where an example has many positions of its own.
