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
# # Do all samples push a channel the same way?
#
# Bjorck, Gomes & Selman (2018) compare sums of gradients over a batch with sums of their absolute
# values. Without batch normalization both are similar: the gradient hardly depends on the input.

# %%
# %matplotlib inline
from IPython.display import Math, display

import statmech_bn as sbn

gradient_alignment = sbn.study.load("gradient_alignment")

s = sbn.symbolic

# %% [markdown]
# ## Derivation
#
# The gradient that batch normalization passes on is $(\gamma/\sigma_B)[g-\bar g-\hat
# u\,\overline{g\hat u}]$: it sums to zero in every channel, exactly. What enters it,
# $g=\partial\mathcal L/\partial\varphi$, need not.
#
# Without normalization, the mean product of two samples' gradients goes back through a layer times
# $E[g'(u)g'(v)]$, for ReLU

# %%
kernel = s.correlation_kernel("relu", slopes=True)
display(Math(f"E[g'(u)g'(v)] = {sbn.codegen.latex(kernel)}"))

# %% [markdown]
# which is that of a single sample, 1/2, once the features have become alike ($c\to1$): from there
# down nothing tells the gradients of samples apart that did not so at the top.

# %% [markdown]
# ## Simulation
#
# `python simulations/gradient_alignment.py` makes the store that we open here. Without it, a small
# one is made now, in a temporary folder.

# %%
tree = sbn.study.results(gradient_alignment)
figures = gradient_alignment.figures(tree)

# %%
figures["layers"]()

# %%
figures["axes"]()

# %%
figures["coherence"]()

# %% [markdown]
# The coherence is that of the mean field in wide networks; at finite width it is larger, by a term
# of order 1/width.
#
# ## What the claims come to


# %%
def mean(path, name, **where):
    """Return the alignment averaged over layers and networks."""
    return float(tree[path][name].sel(where).mean())


samples = tree["dense/batch"].attrs["samples"]
print("Sums of gradients before batch normalization vanish: reproduced, exactly.")
print(f"  largest |Σg|/Σ|g| = {gradient_alignment.largest_sum(tree):.0e}")
print("Without it the gradient does not depend on the input: reproduced, with a correction.")
for gain in gradient_alignment.GAINS:
    aligned = mean("dense/none", "gradient_alignment", gain=gain)
    print(f"  gain {gain:.2g}: alignment {aligned:.2f}")
print(f"  batch norm., behind: {mean('dense/batch', 'alignment_behind'):.2f}")
print(f"  independent signs: {samples**-0.5:.2f}")
weights = {
    n: mean("convolution", "alignment_weights", normalization=n)
    for n in gradient_alignment.NORMALIZATIONS
}
print("For the gradient of a weight it is the same, in a smaller measure than two orders:")
print(f"  {weights['none']:.2f} without, {weights['batch']:.2f} with normalization,")
print(f"  a factor of {weights['none'] / weights['batch']:.1f}")

# %% [markdown]
# Samples agree far more than by chance, but at the gain that keeps the variance they do not agree
# completely: labels differ. Alignment comes with large outputs, where the softmax names one class
# for all inputs, as in networks whose fields grow with depth.
#
# ## What to try next
#
# - Train a few steps first: `sbn.depth.stepped`. Does alignment grow before a run diverges?
# - A saturating activation: `DeepNetwork(..., activation="tanh", gain=2.0)`.
