"""What a reader opens to follow one `POST /embed` from the worker's socket to its answer."""

import re

from tests.support.entered import files_entered
from tests.support.fake_upstream import FakeUpstream
from tests.support.house import ready_house
from tests.support.paths import ROOT

FILES_MAX = 33
ONE_REQUEST = re.compile(r"^## One request$(.*?)^## ", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)\)")


async def test_one_request_enters_few_files_and_architecture_names_each(redis_url: str, upstream: FakeUpstream) -> None:
    section = ONE_REQUEST.search((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))
    assert section is not None
    named = set(LINK.findall(section[1]))
    async with ready_house(redis_url, upstream.url) as house:
        await house.embed("before")
        with files_entered() as entered:
            status, _ = await house.embed("hello")

    assert status == 200
    assert {str(file) for file in entered} - named == set()
    assert len(entered) <= FILES_MAX, sorted(entered)
