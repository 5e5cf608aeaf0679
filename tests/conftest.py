"""Settings that every test shares."""

from hypothesis import settings

settings.register_profile("reproducible", derandomize=True, deadline=None, max_examples=25)
settings.load_profile("reproducible")
