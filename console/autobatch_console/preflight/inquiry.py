"""Ask everything that the settings name, all at once, within a time that a person at a terminal does not notice."""

import asyncio
from collections.abc import Sequence

import hiredis

from autobatch_console.preflight.connection_faults import fault_of
from autobatch_console.preflight.diagnoses import Diagnosis
from autobatch_console.preflight.name_look_up import look_up
from autobatch_console.preflight.redis_diagnoses import SETTING, judge_connection, judge_foreign, judge_redis
from autobatch_console.preflight.upstream_diagnoses import judge_upstreams
from autobatch_console.preflight.upstream_inquiry import inquire
from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.contract.keys import Keys
from autobatch_shared.redis.address import Address
from autobatch_shared.redis.inspection import NAME, inspect_redis
from autobatch_shared.redis.masters.finder import MasterFinder
from autobatch_shared.redis.masters.fixed import FixedAddress
from autobatch_shared.redis.masters.master import Master, finder_of
from autobatch_shared.settings.loading import SettingsError

LIMIT_S = 1.0  # for an answer of each server; with the start of Python, a reason is there within two seconds


async def ask_everything(
    redis_url: str, namespace: str, upstreams: Sequence[str], api_key: str | None
) -> list[Diagnosis]:
    """Return all diagnoses: of Redis unless its URL is empty, and of the upstreams."""
    of_redis, of_upstreams = await asyncio.gather(ask_redis(redis_url, namespace), ask_upstreams(upstreams, api_key))
    return [*of_redis, *of_upstreams]


async def ask_redis(url: str, namespace: str) -> list[Diagnosis]:
    """Return the diagnoses of the Redis at a URL; none where it is empty."""
    if not url:
        return []
    try:
        finder = finder_of(url)
    except SettingsError as error:
        return [Diagnosis("wrong", SETTING, fault.removeprefix(f"{SETTING}: ")) for fault in error.faults]
    try:
        address = await _address(finder, Keys(namespace))
    except (OSError, QueueUnavailable) as error:
        return [Diagnosis("wrong", SETTING, f"no master was found: {error}")]
    try:
        if address.path is None:
            await look_up(address.host, LIMIT_S)
        seen = await inspect_redis(address, Keys(namespace), LIMIT_S)
    except (OSError, EOFError) as error:
        return [judge_connection(repr(address), fault_of(error))]
    except hiredis.HiredisError:
        return [judge_foreign(repr(address))]
    return judge_redis(repr(address), namespace, seen)


async def _address(finder: MasterFinder, keys: Keys) -> Address:
    """Return the address of the URL, or that of the master which Sentinels or a cluster name."""
    if isinstance(finder, FixedAddress):
        return finder.address
    master = Master(finder, keys)
    try:
        async with asyncio.timeout(LIMIT_S):
            return await master.find(NAME, LIMIT_S)
    except TimeoutError:
        raise QueueUnavailable("not all who may know it answer") from None
    finally:
        await finder.close()


async def ask_upstreams(urls: Sequence[str], api_key: str | None) -> list[Diagnosis]:
    """Return the diagnoses of the upstreams at these URLs, together."""
    seen = await asyncio.gather(*(inquire(url, api_key, LIMIT_S) for url in urls))
    return judge_upstreams(seen)
