r"""What the paper quotes from each store: one module for each experiment.

``numbers(tree)`` maps keys to LaTeX, for ``\\val{experiment/key}``; ``claims(tree)`` lists rows of
the table of claims, and is left out where an experiment decides none.
"""
