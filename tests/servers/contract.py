"""What every server must do behind the proxy. A server's tests inherit these classes."""

import asyncio
import signal

import numpy as np

from tests.servers.checks import TEXTS, answers_again, check_same, house_before
from tests.servers.direct import vectors_of
from tests.servers.model_server import START_S, InferenceServer
from tests.support.waiting import wait_until


class ServerContract:
    """Inherit, and say in the module's `pytestmark` which servers it is about."""

    async def test_each_client_gets_its_own_vector(self, server: InferenceServer, redis_url: str) -> None:
        """Asked for by requests of one text each, all at once."""
        async with house_before(server, redis_url) as house:
            await wait_until(house.is_healthy, START_S)
            answers = await house.embed_each(TEXTS)
            info = (await house.get("/info")).json
        own = await vectors_of(server, TEXTS)

        assert info["model_id"] == "minilm"
        assert {status for status, _ in answers} == {200}
        check_same([body[0] for _, body in answers], own, server)
        # A vector is nearer to its own text's than any difference that its companions make.
        assert (
            min(np.abs(a - b).max() for place, a in enumerate(own) for b in own[:place]) > 10 * server.companions_change
        )

    async def test_clients_that_leave_take_nothing_from_those_that_stay(
        self, server: InferenceServer, redis_url: str
    ) -> None:
        texts = [f"cat {place}" for place in range(20)]
        async with house_before(server, redis_url) as house:
            await wait_until(house.is_healthy, START_S)
            server.signal(signal.SIGSTOP)
            asking = [asyncio.create_task(house.embed(text)) for text in texts]
            await wait_until(lambda: house.holds(len(texts)))
            for each in asking[::2]:
                each.cancel()
            server.signal(signal.SIGCONT)
            answers = await asyncio.gather(*asking[1::2])

        assert {status for status, _ in answers} == {200}
        check_same([body[0] for _, body in answers], await vectors_of(server, texts[1::2]), server)

    async def test_a_server_that_is_killed_and_comes_back(self, server: InferenceServer, redis_url: str) -> None:
        """Under load; requests wait for it, and get what is theirs."""
        start_ms = int(START_S * 1000)
        async with house_before(
            server, redis_url, request_timeout_ms=start_ms, upstream_attempts=3, upstream_patience_ms=start_ms
        ) as house:
            await wait_until(house.is_healthy, START_S)
            own = await vectors_of(server, TEXTS)
            asking = [asyncio.create_task(house.embed(text)) for text in TEXTS]
            await wait_until(lambda: any(each.done() for each in asking))
            server.kill()
            server.start()
            answers = await asyncio.gather(*asking)
            await wait_until(house.is_healthy, START_S)
            status, _ = await house.embed("after")

        assert status == 200
        answered = [(place, body[0]) for place, (code, body) in enumerate(answers) if code == 200]
        assert len(answered) >= 0.9 * len(TEXTS), [code for code, _ in answers]
        check_same([vector for _, vector in answered], [own[place] for place, _ in answered], server)


class PausedServerContract:
    """Inherit beside it where a server that is stopped answers nothing, and goes on when it is continued."""

    async def test_a_call_that_takes_too_long_is_given_up_and_later_ones_are_answered(
        self, server: InferenceServer, redis_url: str
    ) -> None:
        """As where the server stops for a while."""
        async with house_before(server, redis_url, upstream_timeout_ms=1_000, upstream_attempts=1) as house:
            await wait_until(house.is_healthy, START_S)
            server.signal(signal.SIGSTOP)
            late, _ = await house.embed("cat")
            server.signal(signal.SIGCONT)

            assert late in (503, 504)
            await wait_until(lambda: answers_again(house), START_S)
