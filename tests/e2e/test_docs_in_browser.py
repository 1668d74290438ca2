"""The page at /docs/ in a browser: it has every operation, one can be tried, and no other host is contacted."""

from collections.abc import Iterator
from importlib.resources import files

import orjson
import pytest

from tests.support.browser import find_browser, open_page
from tests.support.servers.served_model import served_model
from tests.support.waiting import wait_until

PROGRAM = find_browser()
OPERATIONS = {
    operation["operationId"]
    for path in orjson.loads((files("autobatch_proxy") / "docs" / "openapi.json").read_bytes())["paths"].values()
    for operation in path.values()
}
EMBED = "#operations-TEI-embed"

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="needs a Chromium or Chrome on the PATH"),
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served_model() as started:
        yield started


async def test_operations_are_shown_and_can_be_tried(url: str) -> None:
    async with open_page(str(PROGRAM), f"{url}/docs") as page:
        await wait_until(lambda: page.evaluate("document.querySelectorAll('.opblock').length"))
        shown = await page.evaluate("[...document.querySelectorAll('.opblock')].map((each) => each.id)")
        assert OPERATIONS == {each.rpartition("-")[2] for each in shown}
        assert "autobatch" == await page.evaluate("document.title")

        for button in (".opblock-summary-control", ".try-out__btn", ".execute"):
            await page.click(f"{EMBED} {button}")
        answer = f"{EMBED} .live-responses-table tbody"
        await wait_until(lambda: page.text(answer))

        assert "200" == await page.text(f"{answer} .response-col_status")
        assert "-0.0344" in (await page.text(f"{answer} .microlight") or "")
        assert [] == page.faults
        assert [] == [asked for asked in page.asked if not asked.startswith((f"{url}/", "data:"))]
        assert f"{url}/embed" in page.asked
