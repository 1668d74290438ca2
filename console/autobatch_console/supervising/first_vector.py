"""Ask for one vector through the whole path, as a client would, until it comes: only then is everything ready.

The text is a new one each time, so that no cache answers for the upstream. For a model without vectors it is one row of
what the model does.
"""

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Container, Mapping
from typing import Any, NamedTuple

import aiohttp

from autobatch_console.preflight.upstreams.upstream_seen import dimension_in, fault_in

PAUSE_S = 0.5  # between two requests; what is waited for takes seconds
WAITED_FOR = {429, 502, 503, 504}  # anything else does not get better by waiting
CHARACTERS_MAX = 200  # of an error's words

#: What a model of each kind is asked, as `/status` names kinds; `TEXT` is replaced.
_REQUESTS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "embedding": ("/embed", {"inputs": "TEXT"}),
    "sparse": ("/embed_sparse", {"inputs": "TEXT"}),
    "classifier": ("/predict", {"inputs": "TEXT"}),
    "reranker": ("/rerank", {"query": "TEXT", "texts": ["TEXT"]}),
}


class FirstVectorError(Exception):
    """There is no vector; the text says why."""


class Offering(NamedTuple):
    """What clients get.

    Attributes:
        model: Its name; empty: the upstream does not say.
        kind: What it computes.
        dimension: Components of its vectors; None where it has none.
        call_inputs_max: The most inputs in one call to the upstream.
        request_inputs_max: The most inputs in one request.
        input_tokens_max: Tokens after which an input is cut or refused; None: unknown.
    """

    model: str
    kind: str
    dimension: int | None
    call_inputs_max: int
    request_inputs_max: int
    input_tokens_max: int | None

    def __str__(self) -> str:
        parts = [
            self.model or "a model without a name",
            f"{self.dimension} dimensions" if self.dimension else self.kind,
            f"{self.call_inputs_max} inputs a call",
            f"{self.request_inputs_max} a request",
        ]
        if self.input_tokens_max is not None:
            parts.append(f"{self.input_tokens_max} tokens an input")
        return ", ".join(parts)


async def first_vector(
    url: str, key: str | None, limit_s: float, say: Callable[[str], None], model: str = ""
) -> Offering:
    """Return what is served, once a request was answered.

    Args:
        url: The public address.
        key: An API key; None: none is asked for.
        limit_s: Seconds until there must be a vector.
        say: Is given what is waited for, each time that it changes.
        model: The name of the model to ask; empty: the unnamed one.

    Raises:
        FirstVectorError: A request was refused for a reason that stays, or the time has passed.
    """
    deadline_mono_s = time.monotonic() + limit_s
    waiting_for = ""
    # The workers learn a model's name from its batcher, within a second.
    waits = WAITED_FOR | {404} if model else WAITED_FOR
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with aiohttp.ClientSession(headers=headers) as session:
        while (left_s := deadline_mono_s - time.monotonic()) > 0:
            try:
                return await _ask_once(session, f"{url}/{model}" if model else url, left_s, waits)
            except _NotYet as reason:
                if str(reason) != waiting_for:
                    waiting_for = str(reason)
                    say(f"{model}: {waiting_for}" if model else waiting_for)
            await asyncio.sleep(min(PAUSE_S, left_s))
    of_model = f" of {model}" if model else ""
    raise FirstVectorError(f"no vector{of_model} within {limit_s:.0f} s: {waiting_for or 'there was no time left'}")


class _NotYet(Exception):
    """What has to be waited for."""


async def _ask_once(session: aiohttp.ClientSession, url: str, limit_s: float, waits: Container[int]) -> Offering:
    try:
        async with asyncio.timeout(limit_s):
            async with session.get(f"{url}/status") as response:
                status = json.loads(_checked(response.status, await response.read(), waits))
            upstream = _upstream(status)
            route, body = _REQUESTS[upstream["kind"]]
            text = f"the first of {secrets.token_hex(8)}"
            sent = json.loads(json.dumps(body).replace("TEXT", text))
            async with session.post(url + route, json=sent) as response:
                rows = json.loads(_checked(response.status, await response.read(), waits))
            return _served(status, upstream, rows)
    except (aiohttp.ClientError, OSError) as error:
        raise _NotYet(f"an answer of {url} ({type(error).__name__})") from error
    except (ValueError, LookupError, TypeError) as error:
        raise FirstVectorError(f"{url} answered something else than was asked for") from error


def _served(status: dict[str, Any], upstream: dict[str, Any], rows: Any) -> Offering:
    return Offering(
        model=upstream["model"] or "",
        kind=upstream["kind"],
        dimension=_dimension(rows) if upstream["kind"] == "embedding" else None,
        call_inputs_max=upstream["call_inputs_max"],
        request_inputs_max=status["worker"]["request_inputs_max"],
        input_tokens_max=upstream["input_tokens_max"],
    )


def _checked(status: int, body: bytes, waits: Container[int]) -> bytes:
    """The body of an answer of status 200."""
    if status == 200:
        return body
    reason = f"{status} {_words(body)}"
    if status in waits:
        raise _NotYet(reason)
    raise FirstVectorError(f"the first request got {reason}")


def _upstream(status: dict[str, Any]) -> dict[str, Any]:
    """The first healthy upstream of what `/status` says."""
    upstreams = [upstream for batcher in status["batchers"] for upstream in batcher["upstreams"]]
    for upstream in upstreams:
        if upstream["is_healthy"]:
            found: dict[str, Any] = upstream
            return found
    if not status["batchers"]:
        raise _NotYet("a batcher's report")
    named = (f"{each['url']} ({each['reason']})" if each.get("reason") else str(each["url"]) for each in upstreams)
    raise _NotYet(f"a healthy upstream: {', '.join(named)}")


def _dimension(rows: Any) -> int:
    """The length of the one vector, in either shape that EMBED_ANSWER may ask for."""
    vectors = rows["embeddings"] if isinstance(rows, dict) else rows
    if dimension := dimension_in(vectors):
        return dimension
    raise FirstVectorError(f"the upstream answered the first text with {fault_in(vectors)}")


def _words(body: bytes) -> str:
    """What an error says, in one line."""
    try:
        said = str(json.loads(body)["error"])
    except (ValueError, LookupError, TypeError):
        said = body.decode(errors="replace")
    return "".join(character for character in said[:CHARACTERS_MAX] if character.isprintable())
