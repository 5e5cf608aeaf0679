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
# # Does batch normalization bring the boundaries to the data?
#
# A ReLU network cuts its input space into cells, on each of which it is affine. Every unit has a
# boundary: a straight one in the first layer, a folded one behind it. Balestriero and Baraniuk
# (2022) say that batch normalization moves these boundaries towards the data, whatever the weights
# are. We cut the plane exactly and look.

# %%
# %matplotlib inline
import sympy as sp
from IPython.display import Math, display

import statmech_bn as sbn

partition = sbn.study.load("partition")


# %%
def show(name, expression):
    """Typeset an equation."""
    display(Math(f"{name} = {sp.latex(expression)}"))


# %% [markdown]
# ## Derivation
#
# A unit with $\beta=0$ has its boundary where $w\cdot x=c$ with $c=\mu_B$. The squared distances of
# $n$ samples with fields $h_i=w\cdot x_i$ add up to

# %%
flat = sbn.symbolic.least_squares_offset()
show(r"\sum_i d(x_i,H)^2", flat.total)

# %% [markdown]
# with a positive second derivative, and the only minimum at the mean field: batch normalization's
# choice.

# %%
show("c^*", flat.minimizer)

# %% [markdown]
# This holds in the space of the layer's own inputs. In the space of the data the boundary of a
# deeper unit is folded, and a sample with the gradient $g_i=|\nabla_x h(x_i)|$ is $|h_i-c|/g_i$
# away from its affine piece. There the best offset is another one:

# %%
show("c^*", sbn.symbolic.least_squares_offset(folded=True).minimizer)

# %% [markdown]
# Where a boundary crosses the one of unit $j$ of the layer before, its normal turns by
# $w_{kj}\,\gamma_j w_j/\sigma_j$: this is what $\sigma$ does. It does not move the boundary of its
# own unit, and a common factor in all $\sigma$ of a layer changes nothing.
#
# ## Simulation
#
# `python simulations/partition.py` makes the store that we open here. Without it, a small one is
# made now, in a temporary folder. Networks are random, without biases, of two layers with 16 units.

# %%
tree = sbn.study.results(partition)
figures = partition.figures(tree)

# %% [markdown]
# Data sets whose centre is two units away from the origin, and three digits in the plane through
# them. Without batch normalization all boundaries pass through the origin, or near it:

# %%
figures["cells"]()

# %% [markdown]
# The part of the units that have a boundary within a distance of a sample. Dotted: of any place in
# view.

# %%
figures["density"]()

# %% [markdown]
# With batch normalization nothing depends on where the data are. Without it, the boundaries stay
# behind as the data move away:

# %%
figures["shift"]()

# %% [markdown]
# The mean is the least-squares offset in the first layer (points on the parabola); behind folds it
# misses the best one.

# %%
figures["offset"]()

# %% [markdown]
# ## Claims
#
# An equality is called reproduced if the networks do not contradict it, an effect if it is beyond
# errors (`statmech_bn.study.judge`).

# %%
claims = partition.claims(tree)
claims.round(3)

# %% [markdown]
# In words:

# %%
folds = claims[claims["quantity"].str.startswith("excess")]["measured"]
nearer = claims[claims["claim"].str.startswith("BN brings")]
places = claims[claims["claim"].str.startswith("nearer")].set_index(["data", "quantity"])
bends = claims[claims["claim"].str.startswith("σ")]
print(
    "μ minimizes the squared distance: exactly in the first layer. Behind folds, in the space of\n"
    f"the data, the sum is {100 * folds.min():.0f} to {100 * folds.max():.0f} % above the least.\n"
    f"Near the data there are {nearer['measured'].min():.1f} to {nearer['measured'].max():.1f} "
    f"times as many boundaries as without BN ({sum(nearer['verdict'] == 'reproduced')} of "
    f"{len(nearer)} comparisons beyond errors).\n"
    "But boundaries go through the centre of the data, and the data need not be there. Compared\n"
    "with any place in view, layer 1:"
)
for title in partition.TITLES.values():
    found = places.loc[(title, "data/anywhere, layer 1")]
    print(f"  {title}: {found['measured']:.2f} ± {found['standard error']:.2f}, {found['verdict']}")
print(
    "σ bends the second layer's boundaries towards the data: by factors of "
    f"{bends['measured'].min():.2f} to {bends['measured'].max():.2f}; "
    f"{sum(bends['verdict'] == 'reproduced')} of {len(bends)} comparisons beyond errors."
)

# %% [markdown]
# How good is $|z|/|\nabla z|$ as a distance? In the first layer it is exact. Behind folds the
# nearest point is often on another piece:

# %%
partition.piece_errors(tree).round(3)

# %% [markdown]
# ## What to try next
#
# - Your own weights: `sbn.geometry.ReluNetwork((sbn.geometry.Layer(weights, bias), ...))`, and
#   `.section(origin, axes)` for a plane through a network of many inputs.
# - Deeper networks: set `WIDTHS` in the script. Do later layers come closer to the data?
# - A trained network: `sbn.geometry.train_classifier`.
