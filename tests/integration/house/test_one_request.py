"""The files to read in order to follow one `POST /embed` from the worker's socket to its answer."""

from tests.support.entered import files_entered
from tests.support.fake_upstream import FakeUpstream
from tests.support.house import ready_house


async def test_one_request_enters_few_files(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        await house.embed("before")
        with files_entered():
            status, _ = await house.embed("hello")
    assert status == 200
