"""Hypothesis for all unit tests: few examples, the same ones in every run."""

from hypothesis import HealthCheck, Phase, settings

# A failure is shrunk, but not explained: that takes longer than a test's timeout.
PHASES = [Phase.explicit, Phase.generate, Phase.shrink]

settings.register_profile(
    "unit",
    deadline=None,
    max_examples=100,
    derandomize=True,
    database=None,
    phases=PHASES,
    suppress_health_check=[HealthCheck.too_slow],  # on a busy machine
)
# pytest tests/unit --hypothesis-profile=search
settings.register_profile("search", deadline=None, max_examples=2000, database=None, phases=PHASES)
settings.load_profile("unit")
