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
# # Is batch normalization a ridge?
#
# In the published picture batch normalization is population normalization with gamma decay
# $\zeta$, and for a linear student that is ridge regression with $\lambda_r = 2\alpha\zeta$. What
# does training on $P=\alpha N$ noisy samples say?

# %%
# %matplotlib inline
import sys
import tempfile
from pathlib import Path

from IPython.display import Markdown, Math

import statmech_bn as sbn

HERE = Path.cwd()
ROOT = next(p for p in (HERE, *HERE.parents) if (p / "simulations/generalization.py").exists())
sys.path.insert(0, str(ROOT / "simulations"))
import generalization

# %% [markdown]
# ## Derivation
#
# A population-normalized student has $\phi=\gamma h/L$ and pays $\zeta\gamma^2$. For
# $v=\gamma\sqrt N w/|w|$ that is $\frac12\sum(y-v\cdot x/\sqrt N)^2+\frac{\lambda_r}2|v|^2$.
# Batch normalization divides by the spread of $h$ on the *training set*, which does not know of
# $|w|$: it is least squares, shrunken by the mean spread $s_M$ of $M$ unit Gaussians, and below
# $\alpha=1$ it keeps what the initial weights have outside of the data:

# %%
Math(r"\varepsilon_g = " + sbn.codegen.latex(sbn.symbolic.offline.batch_normalized_error()))

# %% [markdown]
# ## Simulation
#
# `python simulations/generalization.py` makes the store that we open here. Without it, a small one
# is made now, in a temporary folder.

# %%
store = ROOT / "results" / "generalization.zarr"
if not store.exists():
    small = generalization.simulate(generalization.Options(preset="quick"))
    store = sbn.save(small, Path(tempfile.mkdtemp()) / "generalization.zarr")
tree = sbn.open(store)

# %%
figures = generalization.figures(tree)
figures["error"]

# %% [markdown]
# The same data, the same noise: how many standard errors is batch normalization away from its own
# theory, and from the ridge of the published picture?

# %%
Markdown(generalization.markdown(tree["table"].to_dataset()))

# %% [markdown]
# ## What to try next
#
# - No label noise: where does the shrinking hurt?
# - `inputs=` an array of real data: is the peak at $\alpha=1$ still there?
# - Your own activation: `sbn.offline.replica_symmetric` and `sbn.offline.train` take any.
