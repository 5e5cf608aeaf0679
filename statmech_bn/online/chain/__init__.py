"""The exact chain of the order parameters at finite N, on the processor and on a GPU."""
