"""The flow at N → ∞: its derivatives, and how they are integrated."""
