"""What a reader opens to follow one `POST /embed` from the worker's socket to its answer."""

import re

from tests.support.entered import files_entered
from tests.support.fake_upstream import FakeUpstream
from tests.support.house import ready_house
from tests.support.paths import ROOT

FILES_MAX = 47
ONE_REQUEST = re.compile(r"^## One request$(.*?)^## ", re.MULTILINE | re.DOTALL)
BOLD_LINK = re.compile(r"\*\*\[`[^`]+`\]\(([^)#:]+)\)\*\*")
#: Where a beat of the lease falls into the request, or the second at which processes say what they did; or where its call takes
#: far from what was expected.
SOMETIMES = {
    "autobatch/autobatch_shared/redis/watching/activities.py",
    "autobatch/autobatch_shared/redis/watching/publishing.py",
    "autobatch/autobatch_shared/watching/durations.py",
    "autobatch/autobatch_shared/watching/per_second.py",
    "autobatch/autobatch_shared/watching/recent_counts.py",
    "batcher/autobatch_batcher/batcher_activity.py",
    "batcher/autobatch_batcher/claiming/lease.py",
    "batcher/autobatch_batcher/claiming/recent_batches.py",
    "batcher/autobatch_batcher/tuning/surprise.py",
    "proxy/autobatch_proxy/worker_activity.py",
}


async def test_one_request_enters_the_files_that_architecture_says(redis_url: str, upstream: FakeUpstream) -> None:
    section = ONE_REQUEST.search((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))
    assert section is not None
    named = set(BOLD_LINK.findall(section[1]))
    async with ready_house(redis_url, upstream.url) as house:
        for _ in range(3):  # then its head is known
            await house.embed("before")
        with files_entered() as files:
            status, _ = await house.embed("hello")

    assert status == 200
    entered = {str(file) for file in files} - SOMETIMES
    assert entered == named
    assert len(entered) <= FILES_MAX
