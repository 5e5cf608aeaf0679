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
# # Does batch normalization shorten the plateau of a committee?
#
# The units of a student are alike for long before each of them specializes in one unit of the
# teacher. Saad & Solla (1995) found this plateau without normalization. We measure how long it is
# with normalization, by the chain that is exact at every $N$, and ask what batch statistics do to
# it, and to the units when they have left it.

# %%
# %matplotlib inline
import numpy as np

import statmech_bn as sbn

plateau = sbn.study.load("plateau")

# %% [markdown]
# ## Derivation
#
# The plateau is a saddle of the flow. A random start differs from it by $1/\sqrt N$, and a
# deviation grows like $e^{\lambda_st}$, so that the plateau lasts about $\ln N/(2\lambda_s)$. A
# scale $\gamma$ at the length $L$ learns as fast as the rate $\eta\gamma^2/L^2$, which is $\eta/3$
# on the plateau of two units at $L=1$. Weight normalization changes nothing else at small $\eta$:

# %%
for name in ("none", "weight"):
    found = sbn.rates.plateau(plateau.setup(name, 8), 0.01)
    rate = found["escape_rate"].item() / 0.01
    effective = 1.0 if name == "none" else (found["gamma"] / found["length"]).item() ** 2
    print(f"{name:7} escape rate / η {rate:.4f}, / effective rate {rate / effective:.4f}")

# %% [markdown]
# Batch statistics add a penalty $P$ to the error, of order $1/M$
# ({func}`statmech_bn.coupled_gamma_decay`), which couples the units. The saddle of
# $\varepsilon_g+P$ with the part of two units and without it:

# %%
for terms in plateau.TERMS:
    found = plateau.penalty(16, terms)
    print(f"{terms:8}", {name: round(found[name].item(), 4) for name in found})

# %% [markdown]
# Without batch statistics the units are equal on the plateau. The coupling parts them by
# $1-C\sim M^{-1/2}$: it is cheaper that the fields of two units are not the same. Parted units have
# larger $\gamma$, and escape *faster*. At the end it is the other way round: what each unit pays
# for itself turns it towards the other's teacher, since that makes up for the output that a small
# $\gamma$ lacks, and the coupling hinders it a little.

# %% [markdown]
# ## Simulation
#
# `python simulations/plateau.py` makes the store that we open here. Without it, a small one is made
# now, in a temporary folder.

# %%
tree = sbn.study.results(plateau)
figures = plateau.figures(tree)
figures["length"]()

# %% [markdown]
# Lines are the flow from the same starts, where it is closed, points the chain. Normalization
# lengthens the plateau threefold, as the effective rate says; beside weight normalization, batch
# statistics do little to it. Gamma decay $\zeta\gamma^2$, worth as much in one unit, is something
# else: it holds students on the plateau, from which small batches let them go.

# %%
figures["batches"]()

# %% [markdown]
# The slope in $\ln N$ beside $1/(2\lambda_s)$ of $\varepsilon_g+P$:

# %%
law = tree["penalty"].to_dataset()["escape_rate"].sel(terms="coupled", batch_size=8)
slope = plateau.growth(tree).sel(normalization="batch")
print(f"{slope.mean().item():.1f} ± {slope.std(ddof=1).item() / np.sqrt(slope.size):.1f}", end=" ")
print(f"beside {1 / (2 * law.item()):.1f}")

# %% [markdown]
# ## What the claims come to

# %%
for claim, verdict in plateau.verdicts(tree).items():
    print(f"{claim}: {verdict}")

# %% [markdown]
# ## What to try next
#
# - More units: the plateau of three, `student_units=3`.
# - A penalty that is weaker: from which $\zeta$ on does gamma decay hold students back?

# %%
weak = sbn.TeacherStudent("erf", "weight", 8, student_units=2, teacher_units=2, gamma_decay=0.005)
sbn.rates.plateau(weak, 0.01)["escape_rate"].item() / 0.01
