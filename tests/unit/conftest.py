"""For all unit tests: hypothesis with few examples, the same ones in every run; and a process without settings for those that ask."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from autobatch_shared.settings.foreign_names import COMPOSE_NAMES, FOREIGN
from autobatch_shared.settings.loading import every_name

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


@pytest.fixture
def nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting in the environment or in files, whatever the person who runs the tests has set."""
    monkeypatch.chdir(tmp_path)
    others = {*COMPOSE_NAMES, *(row.name for row in FOREIGN)}
    for name in list(os.environ):
        if name.lower() in every_name() or name in others or name.startswith("OTEL_"):
            monkeypatch.delenv(name)
