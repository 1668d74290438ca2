"""Hypothesis for all unit tests: few examples, the same ones in every run."""

from hypothesis import settings

settings.register_profile("unit", deadline=None, max_examples=100, derandomize=True, database=None)
# pytest tests/unit --hypothesis-profile=search
settings.register_profile("search", deadline=None, max_examples=2000, database=None)
settings.load_profile("unit")
