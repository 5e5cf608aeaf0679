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
# # Do networks see batch normalization as gamma decay?
#
# Luo et al. (2019) read batch normalization (BN) as population normalization (PN) plus a penalty
# $\zeta\gamma^2$. For one unit it is half of theirs, as the sample is one of those that make the
# statistics. How far does PN with either decay close the gap to BN in classifiers of digits: in
# $|\gamma|$, and in the loss?

# %%
# %matplotlib inline
from IPython.display import Math, display

import statmech_bn as sbn

network_batch_size = sbn.study.load("network_batch_size")
from statmech_bn.symbolic.positions import position_decay

# %% [markdown]
# ## Derivation
#
# In a network a channel has a value at each of several positions of a sample, and its loss is what
# the layers above make of them. With the scores $G=\partial\ell/\partial\beta$ and
# $T=\partial\ell/\partial\gamma$ of a sample, the mean $\bar u$ of its field over positions and the
# mean $q$ of the square, $\zeta$ is the average over samples, and over labels that the network
# itself would give, of

# %%
for statistics in network_batch_size.THEORIES:
    formula = sbn.codegen.latex(position_decay(statistics))
    display(Math(rf"\zeta_\mathrm{{{statistics}}} = \left\langle {formula}\right\rangle"))

# %% [markdown]
# $M/V_\mu$ is the number of independent values that make a mean: more than $M$ in a convolutional
# layer, as positions count too, but not as many as there are positions.
#
# ## Simulation
#
# `python simulations/network_batch_size.py` makes the store that we open here. Without it, a small
# one is made now, in a temporary folder. $\zeta$ is measured for every channel, anew in each epoch.

# %%
tree = sbn.study.results(network_batch_size)
figures = network_batch_size.figures(tree)

# %% [markdown]
# Batches of $M$ have noisy gradients too, and the smaller they are the more steps there are in an
# epoch:

# %%
figures["own"]()

# %% [markdown]
# So we also take steps on 64 samples, and let statistics be made by $M$ of them ("ghost batches").
# What remains between the kinds is the noise of the statistics alone:

# %%
figures["ghosts"]()

# %% [markdown]
# The same, less PN, while the networks learn with the fewest samples:

# %%
figures["epochs"]()

# %% [markdown]
# ## How much of the gap is closed
#
# 1 is all of it. Shares are not given where no gap is seen beyond three standard errors; runs with
# the same seed are compared with each other.

# %%
figures["closure"]()

# %%
for group, title in network_batch_size.GROUPS.items():
    for network, name in network_batch_size.NETWORKS.items():
        print(f"{name}, {title.replace('$', '')}")
        print(network_batch_size.closures(tree, group, network).to_string(), end="\n\n")

# %% [markdown]
# Early in training BN has less $|\gamma|$, by about what the independent decay makes and twice
# what the correlated one does. But hardly a tenth of the gap in the loss is closed by either, so
# that this is not the decay at work: with random statistics the signal of the labels is weaker,
# and weights and $\gamma$ learn more slowly. No penalty on $\gamma$ does that.
#
# Later the gaps become small, and BN's $\gamma$ catches up, in the convolutional network beyond
# that of PN. The decays go on: with either, $\gamma$ is too small by far, with the correlated
# decay by less. Then they close a part of what is left of the gap in the training loss. So
# networks do not share the equality of BN and PN with decay; `network_statistics` finds out why.
#
# ## What to try next
#
# - More epochs: when does $\gamma$ of BN pass that of PN?
# - A learning rate of the weights reduced by $1-3/(4M)$, which mends the overlap of a linear unit
#   (`gamma_decay`).
# - `exact_population=False` in `sbn.networks.train`: what do estimated statistics cost PN?
