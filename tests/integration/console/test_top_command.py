"""`autobatch top` before there is anything to draw."""

import pytest

from autobatch_console.top.top_command import open_activities
from autobatch_shared.contract.errors import QueueUnavailable


async def test_a_redis_that_cannot_be_reached_is_said_with_the_cause(unused_port: int) -> None:
    with pytest.raises(QueueUnavailable, match=r"its Redis could not be reached \(connection refused\)"):
        async with open_activities(f"redis://127.0.0.1:{unused_port}", "test"):
            pass
