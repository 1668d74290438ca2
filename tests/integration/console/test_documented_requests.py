"""The requests that README and docs show are answered, each in the shape of the system that it is from."""

import aiohttp

from tests.support.fake_upstream import FakeUpstream
from tests.support.house import ready_house
from tests.unit.console.docs.documented_commands import DocumentedCommand, documented

WORKER = "localhost:3000"
REQUESTS = [each for each in documented("curl") if any(word.startswith(WORKER) for word in each.words)]


async def test_every_request_of_the_documents_is_answered(redis_url: str, upstream: FakeUpstream) -> None:
    assert len(REQUESTS) > 8
    async with ready_house(redis_url, upstream.url) as house:
        failed = {str(each): found for each in REQUESTS if (found := await sent(each, house.url, house.http))}
    assert failed == {}


async def sent(command: DocumentedCommand, url: str, http: aiohttp.ClientSession) -> str:
    """Send what curl would send; return what is wrong with the answer."""
    words = iter(command.words[1:])
    headers, body, path = {}, None, ""
    for word in words:
        if word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(words)
        elif word.startswith(WORKER):
            path = word.removeprefix(WORKER)
    async with http.request("GET" if body is None else "POST", url + path, headers=headers, data=body) as answer:
        return "" if answer.status == 200 else f"{answer.status} {await answer.text()}"
