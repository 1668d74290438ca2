"""What a reader opens to follow one `POST /embed` from the worker's socket to its answer."""

import re

from tests.support.entered import files_entered
from tests.support.fake_upstream import FakeUpstream
from tests.support.house import ready_house
from tests.support.paths import ROOT

FILES_MAX = 48
ONE_REQUEST = re.compile(r"^## One request$(.*?)^## ", re.MULTILINE | re.DOTALL)
BOLD_LINK = re.compile(r"\*\*\[`[^`]+`\]\(([^)#:]+)\)\*\*")
#: One after the other: what is entered in each is the request's own, and not of a beat or a report beside it.
REQUESTS = 8
SURPRISE = "batcher/autobatch_batcher/tuning/surprise.py"  # on a busy machine calls take far from what was expected


async def test_one_request_enters_the_files_that_architecture_says(redis_url: str, upstream: FakeUpstream) -> None:
    section = ONE_REQUEST.search((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))
    assert section is not None
    named = set(BOLD_LINK.findall(section[1]))
    async with ready_house(redis_url, upstream.url) as house:
        for _ in range(3):  # then its head is known
            await house.embed("before")
        seen: list[set[str]] = []
        for number in range(REQUESTS):
            with files_entered() as files:
                assert (await house.embed(f"hello {number}"))[0] == 200
            seen.append({str(file) for file in files})

    entered = set.intersection(*seen) - {SURPRISE}
    assert entered == named
    assert len(entered) <= FILES_MAX
