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
# # How large a step survives depth?
#
# Each layer's gradient is computed with the others in place, but all of them move. Bjorck, Gomes &
# Selman (2018) find that in unnormalized networks large steps make channel means and variances
# explode with depth, that batch normalization prevents this, and that it can therefore take larger
# steps.

# %%
# %matplotlib inline
import statmech_bn as sbn

exploding_updates = sbn.study.load("exploding_updates")

s = sbn.symbolic

# %% [markdown]
# ## Derivation
#
# With weights $W_l-\eta G_l$ and $\eta$ large, a homogeneous unnormalized network is $-\eta G_l$
# times that of the layer below: fields grow like $\eta^l$, so $d\ln\overline{h^2}/dl\simeq2\ln\eta$
# plus a constant. Batch normalization divides by what the layers below have done: no layer sees
# $\eta$ more than once.
#
# But the gradients themselves are larger in lower layers, by a factor per layer of
# $\chi=\pi/(\pi-1)$ in the mean square for ReLU: `sbn.symbolic.gradient_multiplier("relu",
# "batch")`.

# %% [markdown]
# ## Simulation
#
# `python simulations/exploding_updates.py` makes the store that we open here. Without it, a small
# one is made now, in a temporary folder.

# %%
tree = sbn.study.results(exploding_updates)
figures = exploding_updates.figures(tree)

# %%
figures["moments"]()

# %%
figures["growth"]()

# %%
figures["largest"]()

# %% [markdown]
# ## What the claims come to

# %%
slope, error = exploding_updates.growth_exponent(tree, "none")
print("Moments explode with depth after a large step, without normalization: reproduced.")
print(f"  growth per layer = ({slope:.3f} ± {error:.3f}) ln η + const.; predicted 2")
slope, error = exploding_updates.growth_exponent(tree, "batch")
print("With batch normalization they do not: reproduced.")
print(f"  growth per layer = ({slope:.3f} ± {error:.3f}) ln η + const.; predicted 0")

unbroken, descending = (exploding_updates.step_ratio(tree, factor) for factor in (2.0, 1.0))
print("It allows larger steps: reproduced, with a correction.")
print("  larger step that does not double the loss, by depth:")
print(unbroken.to_series().round(2).to_string(header=False))
print("  larger step that lowers the loss, by depth:")
print(descending.to_series().round(3).to_string(header=False))

# %% [markdown]
# Not exploding and descending part ways with depth: gradients of the normalized network grow
# exponentially towards the inputs, and in deep ones (without skip connections) the step that still
# descends is smaller than without normalization:

# %%
smaller = descending["depth"].values[descending.values < 1].tolist()
print(f"from depth {min(smaller)} on" if smaller else "at none of the depths of this store")

# %% [markdown]
# ## What to try next
#
# - tanh: `DeepNetwork(..., activation="tanh")` has $\chi$ closer to 1.
# - Other batches: does a step that lowers the loss of one lower that of another?
