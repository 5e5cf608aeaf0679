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
# # Must weights start at the right scale?
#
# Ioffe & Szegedy (2015) claim that batch normalization makes saturating nonlinearities usable and
# training less sensitive to the initial scale of the weights. Gradients of random networks, and
# short training on handwritten digits, against the initial gain $\sigma_w$.

# %%
# %matplotlib inline
from IPython.display import Math, display

import statmech_bn as sbn

initial_gain = sbn.study.load("initial_gain")

s = sbn.symbolic

# %% [markdown]
# ## Derivation
#
# Going back through a layer, the mean square of gradients is multiplied by
# $\chi=\sigma_w^2E[g'(\sqrt q\,u)^2]$, with the variance $q$ of the fields of that layer, which
# follows $q\leftarrow\sigma_w^2E[g(\sqrt q\,u)^2]$. With batch normalization $q=1$ and $\sigma_w$
# drops out: $\chi=E[g'^2]/\mathrm{Var}\,g$, for ReLU and erf

# %%
for name in ("relu", "erf"):
    chi = s.gradient_multiplier(name, "batch")
    display(Math(rf"\chi = {sbn.codegen.latex(chi)}"))

# %% [markdown]
# ## Simulation
#
# `python simulations/initial_gain.py` makes the store that we open here. Without it, a small one is
# made now, in a temporary folder.

# %%
tree = sbn.study.results(initial_gain)
figures = initial_gain.figures(tree)

# %%
figures["gradients"]()

# %% [markdown]
# Lines are the mean field, the same for all gains with batch normalization.

# %%
multipliers = initial_gain.multipliers(tree)
multipliers.round(4)

# %%
figures["training"]()

# %% [markdown]
# ## What the claims come to

# %%
accuracy = initial_gain.best_accuracy(tree["training"].to_dataset()).mean("replica")
for name in initial_gain.ACTIVATIONS:
    for normalization, title in initial_gain.NORMALIZATIONS.items():
        typical = accuracy.sel(activation=name, normalization=normalization)
        low, high = typical.min().item(), typical.max().item()
        print(f"{initial_gain.TITLES[name]}, {title}: accuracy from {low:.2f} to {high:.2f}")

# %% [markdown]
# Batch normalization makes training nearly independent of the initial gain, and lets ten logistic
# layers learn, which without it hardly do from any: both claims are reproduced. The correction:
# gradients of normalized networks are not kept but grow by $\chi>1$ per layer, less for saturating
# units than for ReLU. At finite width and batch size the growth differs from the mean field's:

# %%
for title in initial_gain.TITLES.values():
    row = multipliers.loc[f"{title}, batch norm., gain 1"]
    excess = 100 * (row["measured"] / row["mean field"] - 1)
    print(f"{title}: χ = {row['mean field']:.3f}, measured {excess:+.1f} per cent")

# %% [markdown]
# ## What to try next
#
# - Deeper networks: at which depth does $\chi^{\mathrm{depth}}$ stop the normalized ones?
# - Weight decay and a gain far from 1: what normalization forgets only slowly is its step size.
