"""Ask Redis and the upstreams, each within a time that a person at a terminal does not notice."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import hiredis

from autobatch_console.preflight.connection_faults import fault_of
from autobatch_console.preflight.diagnoses import Diagnosis, are_right
from autobatch_console.preflight.name_look_up import look_up
from autobatch_console.preflight.redis_diagnoses import SETTING, judge_connection, judge_foreign, judge_redis
from autobatch_console.preflight.upstreams.upstream_diagnoses import judge_upstreams
from autobatch_console.preflight.upstreams.upstream_inquiry import UpstreamAccess, inquire
from autobatch_console.preflight.upstreams.upstream_models import other_model_kept
from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.contract.keys import Keys
from autobatch_shared.contract.status import Fleet
from autobatch_shared.redis.address import Address
from autobatch_shared.redis.commands import NotTheMaster, reply_error
from autobatch_shared.redis.inspection import inspect_redis, read_fleet
from autobatch_shared.redis.masters.master import finder_of, redirection
from autobatch_shared.settings.loading import SettingsError

NO_VALUES: Mapping[str, int] = {}
LIMIT_S = 1.0  # for an answer of each server; with the start of Python, a reason is there within two seconds


async def ask_redis(url: str, namespace: str, values: Mapping[str, int] = NO_VALUES) -> list[Diagnosis]:
    """Return what is true of the server that takes the writes of the Redis at a URL; nothing where the URL is empty.

    Args:
        url: The URL.
        namespace: The one whose keys are used.
        values: The bytes of the largest values that it must take, by the setting that says so.
    """
    if not url:
        return []
    try:
        finder = finder_of(url)
    except SettingsError as error:
        return [Diagnosis("wrong", SETTING, fault.removeprefix(f"{SETTING}: ")) for fault in error.faults]
    try:
        candidates = await finder.candidates(None)
    except QueueUnavailable as error:  # of Sentinels
        return [Diagnosis("wrong", SETTING, str(error), "correct the addresses of the Sentinels, or the master's name")]
    finally:
        await finder.close()
    asked = await asyncio.gather(*(_ask_server(address, Keys(namespace), values) for address in candidates))
    return next((said for said in asked if are_right(said)), asked[0])


async def _ask_server(address: Address, keys: Keys, values: Mapping[str, int]) -> list[Diagnosis]:
    """Return what is true of one server, or of the node of its cluster that it names."""
    place = repr(address)
    try:
        if address.path is None:
            await look_up(address.host, LIMIT_S)
        seen = await inspect_redis(address, keys, LIMIT_S)
        if named := _named(address, reply_error(seen.refusal)):
            place, seen = repr(named), await inspect_redis(named, keys, LIMIT_S)
    except (OSError, EOFError) as error:
        return [judge_connection(place, fault_of(error), speaks_tls=address.tls is not None)]
    except (hiredis.HiredisError, QueueUnavailable):
        return [judge_foreign(place)]
    return judge_redis(place, keys.prefix, seen, values)


def _named(address: Address, error: QueueUnavailable) -> Address | None:
    """The node of its cluster that a server names as the one to ask; None where it names none."""
    moved_to = redirection(error)
    return address.at(moved_to[0] or address.host, moved_to[1]) if moved_to else None


class QueueOf(NamedTuple):
    """Where the jobs of one model wait.

    Attributes:
        redis_url: REDIS_URL.
        namespace: NAMESPACE.
        model: The model's name; empty: it has none.
    """

    redis_url: str
    namespace: str
    model: str = ""


async def ask_upstreams(urls: Sequence[str], access: UpstreamAccess, queue: QueueOf | None = None) -> list[Diagnosis]:
    """Return the diagnoses of the upstreams at these URLs, together; and beside the batchers that there are, where a queue is given."""
    seen, fleets = await asyncio.gather(
        asyncio.gather(*(inquire(url, access, LIMIT_S) for url in urls)), _fleets_at(queue)
    )
    namespace = "" if queue is None else queue.namespace
    beside = [diagnosis for fleet in fleets for diagnosis in other_model_kept(seen, fleet, namespace)]
    return judge_upstreams(seen) + beside


async def _fleets_at(queue: QueueOf | None) -> list[Fleet]:
    """Return what the batchers of a model report at each server of its queue; of one that cannot be asked `ask_redis` says why."""
    if queue is None or not queue.redis_url:
        return []
    try:
        finder = finder_of(queue.redis_url)
    except SettingsError:
        return []
    keys = Keys(queue.namespace, queue.model)
    try:
        candidates = await finder.candidates(None)
    except QueueUnavailable:
        return []
    finally:
        await finder.close()
    fleets = await asyncio.gather(*(_fleet_at(address, keys) for address in candidates))
    return [fleet for fleet in fleets if fleet is not None]


async def _fleet_at(address: Address, keys: Keys) -> Fleet | None:
    with suppress(OSError, EOFError, hiredis.HiredisError, QueueUnavailable):
        if address.path is None:
            await look_up(address.host, LIMIT_S)
        try:
            return await read_fleet(address, keys, LIMIT_S)
        except NotTheMaster as error:
            if named := _named(address, error):
                return await read_fleet(named, keys, LIMIT_S)
    return None
