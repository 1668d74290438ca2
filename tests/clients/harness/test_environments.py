"""No SDK of an environment is skipped."""

from importlib.metadata import version
from pathlib import Path

import pytest

from tests.clients.harness.environments import SDKS, environment
from tests.clients.matrix import python_clients


def test_every_environment_has_its_sdks_at_the_promised_versions() -> None:
    if environment() not in SDKS:
        pytest.skip("neither of the two environments of `make test-clients`")
    promised = SDKS[environment()]
    found = {name: version(name) for name in promised}
    assert {name: number for name, number in found.items() if not number.startswith(f"{promised[name]}.")} == {}


def test_every_sdk_is_asked_for_by_a_file_of_the_tests() -> None:
    """Otherwise a file could be renamed or lose its first line unnoticed."""
    files = [*Path(__file__).parents[1].glob("sdks/test_*.py"), Path(python_clients.__file__)]
    asked = "".join(file.read_text(encoding="utf-8") for file in files)
    assert [name for names in SDKS.values() for name in names if f'sdk("{name}",' not in asked] == []
