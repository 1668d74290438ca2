"""Commands that are sent together, over a link whose replies the test gives."""

import asyncio
from typing import Any

import pytest

from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.redis.commands import Command, in_one_message


class FakeLink:
    """Keeps the future of each command."""

    def __init__(self) -> None:
        self.futures: list[asyncio.Future[Any]] = []

    def execute(self, *_args: str | bytes | int) -> asyncio.Future[Any]:
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]

    def transaction(self, commands: Any) -> Any:
        raise NotImplementedError


COMMANDS: tuple[Command, ...] = (("UNLINK", "a"), ("GET", "b"))


async def begun(link: FakeLink) -> "asyncio.Task[list[Any]]":
    task = asyncio.create_task(in_one_message(link, *COMMANDS))
    await asyncio.sleep(0)
    return task


async def test_all_are_sent_before_the_first_reply_and_each_reply_has_its_place() -> None:
    link = FakeLink()
    task = await begun(link)
    assert len(link.futures) == 2
    for reply, future in enumerate(link.futures):
        future.set_result(reply)
    assert await task == [0, 1]


@pytest.mark.parametrize("failing", [(0,), (1,), (0, 1)])
async def test_the_first_error_is_raised_once_all_have_ended(failing: tuple[int, ...]) -> None:
    link = FakeLink()
    task = await begun(link)
    for place, future in enumerate(link.futures):
        if place in failing:
            future.set_exception(QueueUnavailable(f"command {place}"))
        else:
            future.set_result(place)
    with pytest.raises(QueueUnavailable, match=f"command {failing[0]}"):
        await task


async def test_no_reply_is_left_to_wait_for_when_the_waiter_is_cancelled() -> None:
    link = FakeLink()
    task = await begun(link)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert all(future.cancelled() for future in link.futures)
