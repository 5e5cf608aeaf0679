"""Random numbers: streams by a seed and a key, and numbers on a GPU by their place."""
