"""What the tests of batchers with several upstreams share."""

from collections.abc import AsyncIterator

import pytest

from tests.support.fake_upstream import FakeUpstream


@pytest.fixture
async def other() -> AsyncIterator[FakeUpstream]:
    """A second upstream."""
    started = FakeUpstream()
    await started.start()
    yield started
    await started.stop()
