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
# # The random mean, or the random standard deviation?
#
# A batch has its own mean $\mu_B$ and its own standard deviation $\sigma_B$. Which of them makes a
# network with batch normalization (BN) differ from one with the population's statistics (PN), and
# do their effects add up?

# %%
# %matplotlib inline
from IPython.display import Math, display

import statmech_bn as sbn

network_statistics = sbn.study.load("network_statistics")

s = sbn.symbolic

# %% [markdown]
# ## Derivation
#
# For one linear unit the two theories agree on $\sigma_B$ in the loss, and are opposed on $\mu_B$.
# The penalty $P(\gamma)$ of each statistic, independent of the sample and correlated with it:

# %%
for statistics in network_statistics.THEORIES:
    theory = s.gamma_decay(statistics, "linear", "gaussian")
    for symbol, part in ((r"\mu_B", theory.from_mean), (r"\sigma_B", theory.from_spread)):
        display(Math(rf"P_{{{symbol}}}^\mathrm{{{statistics}}} = {sbn.codegen.latex(part)}"))

# %% [markdown]
# A sample that is counted in $\mu_B$ is centred by itself: the linear unit is not pulled at all. In
# a network the Fisher information of a channel takes the place of the unit's; there, the correlated
# theory has $\mu_B$ push $\gamma$ up.
#
# ## Simulation
#
# `python simulations/network_statistics.py` makes the store that we open here. Without it, a small
# one is made now, in a temporary folder.

# %%
tree = sbn.study.results(network_statistics)
figures = network_statistics.figures(tree)

# %%
figures["training"]()

# %% [markdown]
# Shares of what separates BN from PN after training; the effects add up where the sum is 1:

# %%
figures["shares"]()

# %%
for network, title in network_statistics.NETWORKS.items():
    print(title)
    print(network_statistics.additivity(tree, network).to_string(), end="\n\n")

# %% [markdown]
# While the network learns fast, the random mean does most of it. Late in training both count, and
# in what they do to $\gamma$ they are far from adding up.
#
# ## The pull on γ
#
# Training mixes a penalty with slower learning. So we take a network trained with PN, make the
# statistics of its last layer random, and measure what that adds to the loss and to its slope in
# $\gamma$. The theories speak of labels that the network itself would give, and of one channel at a
# time; both can be given up one by one.

# %%
figures["excess_loss"]()

# %%
figures["pull"]()

# %%
for network, title in network_statistics.NETWORKS.items():
    print(f"{title}: M ζ of the last layer")
    print(network_statistics.pulls(tree, network).to_string(), end="\n\n")

# %% [markdown]
# On their own ground, the excess of the loss from one statistic is what theory says, the closer the
# larger $M$ is. Both together make more than the sum: in a skewed field $\mu_B$ and $\sigma_B$ are
# correlated, which independent statistics are not.
#
# The slope in $\gamma$ has the sign of the correlated theory for $\mu_B$: it pushes $\gamma$ up,
# where the independent theory has it pull $\gamma$ down. The size is not met: theory holds the
# Fisher information fixed, which falls as $\gamma$ grows and the network becomes sure of its
# labels, so that what is measured lies lower.
#
# Off their ground both theories miss more than they have. With true labels the excess of the loss
# is larger, as random statistics blur what the network has learned of them; early in training this
# pulls $\gamma$ down about as strongly as the independent theory says, for another reason. With
# all channels random their noise adds up in the outputs, and later in training $\gamma$ is pushed
# up.
#
# ## What to try next
#
# - `epochs` of the options: how does the pull with true labels fade?
# - The noise of channels is correlated. A matrix $\zeta_{cc'}$ of all pairs would know it.
# - Put the slope for true labels into the linear term of the correlated theory.
