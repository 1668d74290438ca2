"""The metrics of the upstreams, as they say them, each sample with its upstream as a label."""

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence

import aiohttp

from autobatch_batcher.dialects.base import Get
from autobatch_batcher.upstreams.replica import Replica

log = logging.getLogger(__name__)

ASK = Get("/metrics")
TIMEOUT_S = 5.0  # below Prometheus' own 10 s
_comment = re.compile(r"# (?:HELP|TYPE) (\S+)").match
_sample = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?( .*)").fullmatch


async def upstream_metrics(upstreams: Sequence[Replica]) -> bytes:
    """Return Prometheus text of what these say at `/metrics`; a comment for each that has no such page."""
    said = await asyncio.gather(*map(_ask, upstreams))
    names = [upstream.name for upstream in upstreams]
    missing = [name for name, text in zip(names, said, strict=True) if text is None]
    head = "".join(f"# {name} has no metrics for Prometheus at {ASK.path}, or does not answer.\n" for name in missing)
    found = {name: text for name, text in zip(names, said, strict=True) if text is not None}
    return (head + together(found)).encode()


def together(said: Mapping[str, str]) -> str:
    """Return Prometheus text of several servers as one: each metric's lines in one place, each sample with its upstream.

    Args:
        said: The text of each upstream, by its name. Names of metrics stay as they are: `te_request_count` ends without `_total`.
    """
    families: dict[str, tuple[list[str], list[str]]] = {}  # comments, samples
    for upstream, text in said.items():
        comments, samples = families.setdefault("", ([], []))
        for line in text.splitlines():
            if (comment := _comment(line)) is not None:
                comments, samples = families.setdefault(comment[1], ([], []))
                if not samples:  # those of the first upstream speak for all
                    comments.append(line)
            elif (sample := _sample(line)) is not None:
                labels = ",".join(filter(None, (sample[2], f'upstream="{upstream}"')))
                samples.append(f"{sample[1]}{{{labels}}}{sample[3]}")
    return "".join(f"{line}\n" for comments, samples in families.values() for line in (*comments, *samples))


async def _ask(upstream: Replica) -> str | None:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            status, body = await upstream.client.fetch(ASK)
        return body.decode() if status == 200 else None
    except (aiohttp.ClientError, OSError, UnicodeDecodeError) as error:  # TimeoutError is an OSError
        log.info("upstream_metrics_unread", extra={"upstream": upstream.name, "error": str(error)})
        return None
