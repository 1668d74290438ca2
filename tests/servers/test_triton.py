"""A real Triton behind the proxy."""

import numpy as np
import pytest

from autobatch_embedder.model_files import folder_reading
from tests.servers.checks import (
    TEXTS,
    answers_again,
    check_names_missing_model,
    check_same,
    house_before,
    says,
)
from tests.servers.contract import ServerContract
from tests.servers.direct import vectors_of
from tests.servers.model_server import START_S, InferenceServer
from tests.support.waiting import wait_until

pytestmark = pytest.mark.parametrize("server_name", ["triton"], indirect=True)


class TestTriton(ServerContract):
    """What every server must do."""


async def test_half_precision_is_read(server: InferenceServer, redis_url: str) -> None:
    async with house_before(server, redis_url, "minilm_half") as house:
        await wait_until(house.is_healthy, START_S)
        status, body = await house.embed("cat")
    (full,) = await vectors_of(server, ["cat"])

    assert status == 200
    assert 0 < np.abs(np.array(body[0], np.float32) - full).max() < 1e-3


async def test_a_model_of_token_ids_takes_those(server: InferenceServer, redis_url: str) -> None:
    """Lists of different length in one call are padded, and what was padded is masked."""
    cat, short = [101, 4937, 102], [101, 102]
    async with house_before(server, redis_url, "minilm_tokens") as house:
        await wait_until(house.is_healthy, START_S)
        status, body = await house.embed([cat, short])
        refused, error = await house.embed("cat")
    (of_text,) = await vectors_of(server, ["cat"])

    assert status == 200
    assert np.abs(np.array(body[0], np.float32) - of_text).max() < 1e-5
    assert (refused, error["error_type"]) == (422, "Validation")


async def test_with_a_tokenizer_a_model_of_token_ids_takes_texts_and_counts_them(
    server: InferenceServer, redis_url: str
) -> None:
    """Each gets the vector that the server computes of the text itself."""
    tokenizer = str(folder_reading.find(None).path / "tokenizer.json")
    async with house_before(
        server, redis_url, "minilm_tokens", tokenizer_file=tokenizer, upstream_tokens_max=256
    ) as house:
        await wait_until(house.is_healthy, START_S)
        answers = await house.embed_each([*TEXTS[:20], "word " * 500])
        counted = (await house.post("/v1/embeddings", {"input": ["cat", "word " * 500]})).json
    own = await vectors_of(server, [*TEXTS[:20], "word " * 500])

    assert {status for status, _ in answers} == {200}
    check_same([body[0] for _, body in answers], own, server)
    assert counted["usage"]["prompt_tokens"] == 3 + 256


async def test_only_the_text_that_the_model_fails_on_fails(server: InferenceServer, redis_url: str) -> None:
    async with house_before(server, redis_url, "refusing") as house:
        await wait_until(house.is_healthy, START_S)
        answers = await house.embed_each(["cat", "refuse", "dog", "sun"])

    assert [status for status, _ in answers] == [200, 500, 200, 200]
    assert "Traceback" not in answers[1][1]["error"]


async def test_a_call_that_takes_too_long_is_given_up_and_the_others_go_on(
    server: InferenceServer, redis_url: str
) -> None:
    async with house_before(server, redis_url, upstream_timeout_ms=1_000, upstream_attempts=1) as house:
        await wait_until(house.is_healthy, START_S)
        late, _ = await house.embed("hang")

        assert late in (503, 504)
        await wait_until(lambda: answers_again(house), START_S)  # the model itself goes on with what was given up


async def test_a_model_that_the_server_has_not_is_named(server: InferenceServer, redis_url: str) -> None:
    await check_names_missing_model(server, redis_url, "no model `nope`")


async def test_vectors_are_never_cut_out_of_another_shape(server: InferenceServer, redis_url: str) -> None:
    async with house_before(server, redis_url) as house:
        await wait_until(house.is_healthy, START_S)
    async with house_before(server, redis_url, "wrong_shape", upstream_patience_ms=0) as house:
        await wait_until(lambda: says(house, "shape (1, 2, 192)"))
        assert not await house.is_healthy()
