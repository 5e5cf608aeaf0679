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
# # Which learning rates can a network be trained with?
#
# Bjorck, Gomes & Selman (2018) find that what batch normalization gives is large learning rates:
# without it the loss diverges at rates that are small and fall with depth, and at the same small
# rate both networks are worth the same. Luo, Wang, Shao & Peng (2019) derive that the normalized
# student has a larger maximum learning rate. Do convolutional networks on handwritten digits?

# %%
# %matplotlib inline
import pandas as pd

import statmech_bn as sbn

network_learning_rate = sbn.study.load("network_learning_rate")

# %% [markdown]
# ## Derivation
#
# In the teacher–student model the weights $w$ of a normalized student see the learning rate as
# $\eta\gamma/L^2$: a step that is too large makes them long, and the next ones small. It diverges
# at no $\eta$. In a network this holds for the convolutions. It does not hold for $\gamma$, $\beta$
# and the linear map at the top, which no normalization follows: they bound $\eta$ also with batch
# normalization.
#
# Without normalization a change of all layers at once is amplified by each of them
# (`analysis/exploding_updates.py`), so the bound should fall with depth.
#
# A network whose units are all off, as after one step that was too large, answers $\ln$ frequency
# of each class. Its loss may be less than that of the start, so we ask that a stable run is better
# than that, too. In deep unnormalized networks weights from $N(0,2/n)$ let signals fade, since $n$
# counts the zeros beyond the image's edge. A start whose layers are rescaled to fields of unit size
# is the fairer comparison.

# %% [markdown]
# ## Simulation
#
# `python simulations/network_learning_rate.py` makes the store that we open here. Without it, a
# small one is made now, in a temporary folder.

# %%
tree = sbn.study.results(network_learning_rate)
figures = network_learning_rate.figures(tree)

# %% [markdown]
# A run whose loss is not finite has accuracy 0, one whose units are all off that of chance.

# %%
figures["accuracy"]()

# %%
figures["largest"]()

# %% [markdown]
# ## What the claims come to
#
# Differences are between runs of the same replica, which has the same initial weights and order of
# samples in all networks; errors are standard errors over replicas. Where the error is 0, all
# replicas have their largest rate at the same point of the grid, whose neighbours differ by

# %%
rates = tree["none"]["learning_rate"]
print(f"a factor {float((rates[1:].values / rates[:-1].values).min()):.2g} in η")

# %%
network_learning_rate.verdicts(tree).round(3)

# %% [markdown]
# Of the replicas, how many train at any rate of the grid? The others have no part in what is said
# above of the rates that train; where they are more than half, nothing is said.

# %%
pd.DataFrame(
    {
        title: network_learning_rate.largest_rate(found, "trains")
        .notnull()
        .mean("replica")
        .to_series()
        for title, found in (
            (network_learning_rate.KINDS[kind], d)
            for kind, d in network_learning_rate.networks_of(tree).items()
        )
    }
)

# %% [markdown]
# Where batch normalization is already better at the best rate of the network without it, its
# advantage is more than a large learning rate: in the few steps of these trainings it also learns
# faster at the same rate, as each layer's fields have the right size and differ between inputs
# whatever the layers below do.
#
# ## What to try next
#
# - `--epochs 20`: does the network without normalization catch up at the same learning rate?
# - Smaller learning rates of $\gamma$, $\beta$ and the top alone: does batch normalization then
#   bear any $\eta$?
