"""Consoles that end with their test, and one for all tests that only send requests."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.up.console import Console


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Console]]:
    """Start consoles that end with the test."""
    consoles = []

    def start_one(*argv: str, **more: Any) -> Console:
        consoles.append(Console(tmp_path, *argv, **more))
        return consoles[-1]

    yield start_one
    for console in reversed(consoles):
        console.close()


@pytest.fixture(scope="package")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """One that is ready, for the tests that only send requests."""
    running = Console(tmp_path_factory.mktemp("up"))
    try:
        running.wait_for("^ready")
        yield running
    finally:
        running.close()
