"""The whole system as processes: gunicorn workers, batchers, a real Redis; only the upstream is a fake."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import orjson
import pytest
from redis.asyncio import Redis

from autobatch_shared.contract.status import decoded
from tests.support.fake_upstream import FakeUpstream, Gate, vector
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.servers.leaks import keys_left, keys_without_ttl
from tests.support.servers.redis_server import RedisServer
from tests.support.waiting import wait_until

START_S = 60.0  # for processes to start on a busy machine


@dataclass
class System:
    """One gunicorn and any number of batchers on one Redis."""

    folder: Path
    redis: RedisServer
    upstream: FakeUpstream
    http: aiohttp.ClientSession
    port: int = field(default_factory=free_port)
    processes: list[Process] = field(default_factory=list)

    def start_proxy(self, workers: int = 2, **settings: object) -> Process:
        return self._start(
            "proxy", host="127.0.0.1", port=self.port, web_concurrency=workers, redis_url=self.redis.url, **settings
        )

    def start_batcher(self, **settings: object) -> Process:
        defaults = {"batcher_port": 0, "batcher_host": "127.0.0.1", "lease_ms": 500, "inference_url": self.upstream.url}
        return self._start("batcher", redis_url=self.redis.url, **defaults | settings)

    def _start(self, module: str, **settings: object) -> Process:
        process = Process(self.folder, module, **settings)
        self.processes.append(process)
        return process

    async def is_healthy(self) -> bool:
        try:
            async with self.http.get(f"http://127.0.0.1:{self.port}/health") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def is_unhealthy(self) -> bool:
        async with self.http.get(f"http://127.0.0.1:{self.port}/health") as answer:
            return answer.status == 503

    async def has_batchers(self, count: int) -> bool:
        async with Redis.from_url(self.redis.url) as redis:
            return await redis.zcard("{autobatch}:leases") >= count

    async def on_duty(self, batchers: list[Process]) -> Process:
        """Return the one of these that calls the upstream, once one of them does."""

        async def look() -> Process | None:
            async with Redis.from_url(self.redis.url) as redis:
                found = await redis.hgetall("{autobatch}:batchers")
            reports = decoded([each for each in found.values() if isinstance(each, bytes)])
            ids = [each.id for each in reports if each.upstreams[0].may_be_called and each.upstreams[0].is_on_duty]
            calling = [each for each in batchers if len(ids) == 1 and ids[0] in each.output]
            return calling[0] if len(reports) == len(batchers) and calling else None

        await wait_until(look)
        calling = await look()
        assert calling is not None
        return calling

    async def embed(self, inputs: str | list[str]) -> tuple[int, Any]:
        async with self.http.post(f"http://127.0.0.1:{self.port}/embed", json={"inputs": inputs}) as answer:
            return answer.status, orjson.loads(await answer.read())

    async def embed_each(self, texts: list[str]) -> list[tuple[int, Any]]:
        return await asyncio.gather(*map(self.embed, texts))

    async def assert_nothing_is_left(self) -> None:
        assert await keys_without_ttl(self.redis.url) == []
        await wait_until(
            self.has_no_keys
        )  # what was received is deleted with a worker's next message, or in half a second

    async def has_no_keys(self) -> bool:
        return await keys_left(self.redis.url) == []


@pytest.fixture
async def system(upstream: FakeUpstream) -> AsyncIterator[System]:
    with TemporaryDirectory(prefix="ab-") as name:
        folder = Path(name)
        redis = RedisServer(folder)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=50)) as http:
            started = System(folder, redis, upstream, http)
            try:
                yield started
            finally:
                for process in reversed(started.processes):
                    process.signal(signal.SIGCONT)
                    process.close()
                redis.kill()


def wrong(texts: list[str], answers: list[tuple[int, Any]]) -> dict[str, tuple[int, str]]:
    """Return what each sender got that did not get its own vector, shortened for reading."""
    assert len(texts) == len(answers)
    return {
        text: (status, str(body)[:120])
        for text, (status, body) in zip(texts, answers, strict=True)
        if (status, body) != (200, [vector(text)])
    }


def numbered(count: int) -> list[str]:
    return [f"text number {number}" for number in range(count)]


async def start(
    system: System, batchers: int = 2, request_timeout_ms: int = 30_000, **settings: object
) -> list[Process]:
    system.redis.start()
    system.start_proxy(request_timeout_ms=request_timeout_ms)
    started = [system.start_batcher(**settings) for _ in range(batchers)]
    await wait_until(lambda: system.has_batchers(batchers), START_S)
    await wait_until(lambda: all_right(system), START_S)  # `/health` speaks for one worker only
    system.upstream.calls.clear()
    return started


async def test_two_thousand_at_once_each_get_their_own(system: System) -> None:
    await start(
        system, lease_ms=20_000
    )  # or a batcher that a busy machine holds up would lose its jobs, which are computed twice
    texts = numbered(2000)
    assert wrong(texts, await system.embed_each(texts)) == {}
    assert len(system.upstream.calls) < len(texts) / 8
    assert max(map(len, system.upstream.calls)) <= 32
    assert system.upstream.in_flight_max <= 512
    assert sorted(texts) == sorted(text for call in system.upstream.calls for text in call)
    await system.assert_nothing_is_left()


async def test_a_batcher_killed_in_mid_batch_costs_nobody_an_answer(system: System) -> None:
    first = await system.on_duty(await start(system))
    gate = Gate()
    system.upstream.behave = gate
    texts = numbered(300)
    asking = asyncio.create_task(system.embed_each(texts))
    await wait_until(lambda: len(system.upstream.calls) >= 2)
    first.signal(signal.SIGKILL)
    first.wait()
    gate.opened.set()
    assert wrong(texts, await asking) == {}
    await system.assert_nothing_is_left()


async def test_all_batchers_killed_and_replaced(system: System) -> None:
    killed = await start(system)
    gate = Gate()
    system.upstream.behave = gate
    texts = numbered(100)
    asking = asyncio.create_task(system.embed_each(texts))
    await wait_until(lambda: len(system.upstream.calls) >= 2)
    for batcher in killed:
        batcher.signal(signal.SIGKILL)
    gate.opened.set()
    system.start_batcher()
    assert wrong(texts, await asking) == {}


async def test_where_the_only_batcher_is_killed_all_that_wait_are_told(system: System) -> None:
    """Those that it had claimed as well: only a live batcher could give them back."""
    (batcher,) = await start(system, batchers=1, request_timeout_ms=120_000, max_concurrent_batches=1)
    gate = Gate()
    system.upstream.behave = gate
    asking = asyncio.create_task(system.embed_each(numbered(64)))
    await wait_until(lambda: system.upstream.calls)
    batcher.signal(signal.SIGKILL)
    answers = await asking
    gate.opened.set()
    assert {(503, "Unhealthy")} == {(status, body["error_type"]) for status, body in answers}
    assert all(body["error"].startswith("No batcher is running") for _, body in answers)
    system.upstream.behave = None
    system.start_batcher()
    await wait_until(lambda: all_right(system), START_S)
    await system.assert_nothing_is_left()


async def test_a_batcher_paused_beyond_its_lease_answers_nobody_twice(system: System) -> None:
    paused = await system.on_duty(await start(system))
    gate = Gate()
    system.upstream.behave = gate
    texts = numbered(100)  # more than two calls can carry
    asking = asyncio.create_task(system.embed_each(texts))
    await wait_until(lambda: len(system.upstream.calls) >= 2)
    paused.signal(signal.SIGSTOP)
    gate.opened.set()
    assert wrong(texts, await asking) == {}
    paused.signal(signal.SIGCONT)
    assert wrong(texts, await system.embed_each(texts)) == {}


async def test_a_poison_among_good_ones_fails_alone(system: System) -> None:
    await start(system)
    texts = numbered(200)
    texts[77] = "poison 77"
    answers = await system.embed_each(texts)
    assert answers.pop(77) == (422, {"error": "Input validation error: poison 77", "error_type": "Validation"})
    del texts[77]
    assert wrong(texts, answers) == {}


async def test_clients_that_leave_do_not_disturb_the_others(system: System) -> None:
    await start(system)
    gate = Gate()
    system.upstream.behave = gate
    texts = numbered(200)
    asking = [asyncio.create_task(system.embed(text)) for text in texts]
    await wait_until(lambda: len(system.upstream.calls) >= 2)
    for leaving in asking[::3]:
        leaving.cancel()
    await asyncio.wait(asking[::3])
    gate.opened.set()
    staying = [place for place in range(200) if place % 3]
    answers = await asyncio.gather(*(asking[place] for place in staying))
    assert wrong([texts[place] for place in staying], answers) == {}
    await system.assert_nothing_is_left()


async def test_redis_away_at_the_start_and_in_flight(system: System) -> None:
    """503, then recovery without a restart of anything."""
    proxy, batcher = system.start_proxy(), system.start_batcher()
    await wait_until(lambda: answers_503(system), START_S)
    system.redis.start()
    await wait_until(system.is_healthy, START_S)
    assert wrong(["hello"], [await system.embed("hello")]) == {}
    gate = Gate()
    system.upstream.behave = gate
    asking = asyncio.create_task(system.embed_each(numbered(50)))
    await wait_until(lambda: len(system.upstream.calls) >= 2)
    system.redis.kill()
    assert {status for status, _ in await asking} == {503}
    assert (await system.embed("while away"))[0] == 503
    gate.opened.set()
    system.redis.start()
    await wait_until(lambda: all_right(system), START_S)  # `/health` speaks for one worker only
    assert proxy.is_running
    assert batcher.is_running


async def answers_503(system: System) -> bool:
    try:
        return (await system.embed("too early"))[0] == 503
    except aiohttp.ClientError:
        return False


async def test_an_upstream_that_dies_and_comes_back(system: System) -> None:
    await start(system, upstream_patience_ms=500)
    await system.upstream.stop()
    assert {status for status, _ in await system.embed_each(numbered(20))} == {503}
    await wait_until(system.is_unhealthy)
    await system.upstream.start()
    await wait_until(lambda: all_right(system))


async def test_a_killed_worker_is_replaced_and_the_others_go_on(system: System) -> None:
    await start(system)
    os.kill(system.processes[0].children()[0], signal.SIGKILL)
    await wait_until(lambda: all_right(system), START_S)


async def all_right(system: System) -> bool:
    try:
        return not wrong(numbered(50), await system.embed_each(numbered(50)))
    except aiohttp.ClientError:
        return False


async def test_stopping_finishes_what_was_begun(system: System) -> None:
    texts = numbered(30)
    (batcher,) = await start(system, batchers=1, batch_shape="fifo", max_concurrent_batches=len(texts))
    system.upstream.behave = gate = Gate()
    asking = asyncio.create_task(system.embed_each(texts))
    await wait_until(lambda: sum(map(len, system.upstream.calls)) >= len(texts))  # in as many calls as they come in
    proxy = system.processes[0]
    proxy.signal(signal.SIGTERM)
    batcher.signal(signal.SIGTERM)
    gate.opened.set()
    assert wrong(texts, await asking) == {}
    assert (await asyncio.to_thread(proxy.wait), await asyncio.to_thread(batcher.wait)) == (0, 0)
    await system.assert_nothing_is_left()


async def test_a_worker_that_stops_is_not_ready_first_and_then_refuses(system: System) -> None:
    """For a second and a half; where a busy machine lets the test miss that, for longer."""
    system.redis.start()
    assert await is_told_of_the_stop(system, 1_500) or await is_told_of_the_stop(system, 20_000)


async def is_told_of_the_stop(system: System, stop_delay_ms: int) -> bool:
    """Whether a worker that was told to stop was seen to be unready before it was gone."""
    proxy = system.start_proxy(workers=1, stop_delay_ms=stop_delay_ms)
    seen = 0

    async def answers(status: int) -> bool:
        nonlocal seen
        try:
            async with system.http.get(f"http://127.0.0.1:{system.port}/ready") as answer:
                seen = answer.status
        except aiohttp.ClientError:
            seen = 0
        return seen == status

    async def answers_no_more() -> bool:
        return not await answers(200)

    await wait_until(lambda: answers(200), START_S)
    proxy.signal(signal.SIGTERM)
    await wait_until(answers_no_more)
    assert await asyncio.to_thread(proxy.wait) == 0
    return seen == 503


async def test_settings_change_under_load_and_no_client_notices(system: System) -> None:
    """Workers are replaced meanwhile, so each request has a connection of its own: HTTP lets a server end one that is idle."""
    config = system.folder / "config.toml"
    config.write_text("max_batch_size = 32\n")
    (batcher,) = await start(system, batchers=1)
    proxy, texts, found = system.processes[0], numbered(40), list[dict[str, tuple[int, str]]]()
    is_enough = asyncio.Event()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as http:
        clients = replace(system, http=http)

        async def ask() -> None:
            while not is_enough.is_set():
                found.append(wrong(texts, await clients.embed_each(texts)))

        asking = asyncio.create_task(ask())
        workers = proxy.children()
        config.write_text("max_batch_size = 4\nmax_wait_time_ms = 20\nnamespace = 'other'\n")
        for each in (batcher, proxy):
            each.signal(signal.SIGHUP)
        await wait_until(lambda: not set(workers) & set(proxy.children()), START_S)
        await wait_until(lambda: '"reloaded"' in batcher.output)
        rounds = len(found)
        await wait_until(lambda: len(found) > rounds + 1)
        system.upstream.calls.clear()
        await wait_until(lambda: len(found) > rounds + 3)
        assert max(map(len, system.upstream.calls)) <= 4

        workers = proxy.children()
        config.write_text("max_batch_size = 0\n")
        for each in (batcher, proxy):
            each.signal(signal.SIGHUP)
        await wait_until(lambda: all("reload_refused" in each.output for each in (batcher, proxy)))
        is_enough.set()
        await asking
    assert [each for each in found if each] == []
    assert proxy.children() == workers
    for each in (batcher, proxy):
        assert '"settings": ["NAMESPACE"]' in each.output


async def test_a_new_worker_that_dies_is_replaced_while_the_old_ones_still_answer(system: System) -> None:
    """The master waits for these, as long as a request may take."""
    await start(system, batchers=1, request_timeout_ms=120_000)
    proxy = system.processes[0]
    await wait_until(lambda: len(proxy.children()) == 2, START_S)
    old = set(proxy.children())
    system.upstream.behave = gate = Gate()
    texts = numbered(40)
    asking = asyncio.create_task(system.embed_each(texts))
    await wait_until(lambda: system.upstream.calls)
    proxy.signal(signal.SIGHUP)
    await wait_until(lambda: len(set(proxy.children()) - old) == 2, START_S)
    killed, other = set(proxy.children()) - old
    os.kill(killed, signal.SIGKILL)

    await wait_until(lambda: {killed} != set(proxy.children()) - old - {other} != set(), START_S)

    assert old & set(proxy.children())
    gate.opened.set()
    assert wrong(texts, await asking) == {}


def test_wrong_settings_stop_the_start_with_every_fault(tmp_path: Path) -> None:
    with running(tmp_path, "batcher", max_batch_size=0, batch_policy="never") as batcher:
        assert batcher.wait() == 2
        assert "MAX_BATCH_SIZE" in batcher.output
        assert "BATCH_POLICY" in batcher.output


@pytest.mark.parametrize(("module", "setting"), [("batcher", "batcher_port"), ("proxy", "port")])
def test_a_taken_port_stops_the_start_with_one_line(tmp_path: Path, module: str, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with running(tmp_path, module, **{setting: port, "host": "127.0.0.1", "batcher_host": "127.0.0.1"}) as process:
            assert process.wait() == 2
            said = process.output.strip()
    assert said.endswith(f"{setting.upper()}: cannot listen on 127.0.0.1:{port}: Address already in use")
    assert "Traceback" not in said


@contextmanager
def running(folder: Path, module: str, **settings: object) -> Iterator[Process]:
    process = Process(folder, module, **settings)
    try:
        yield process
    finally:
        process.close()
