"""The record of the namespace's model."""

import pytest

from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.contract.models import ServedModel
from autobatch_shared.redis.model_record import ModelRecord
from tests.integration.redis.queue_ends.ends import KEYS, QueueEnds

OLD_MODEL, NEW_MODEL, OTHER_MODEL = (ServedModel(name * 8, name, "{}", since=7) for name in "abc")


async def test_the_first_model_stands_until_it_is_replaced(ends: QueueEnds) -> None:
    record = ModelRecord(ends.link, KEYS)
    assert await record.agree(None) is None
    assert await record.agree(OLD_MODEL) == OLD_MODEL
    assert await record.agree(NEW_MODEL) == OLD_MODEL

    assert await record.agree(NEW_MODEL, instead_of=OLD_MODEL) == NEW_MODEL
    assert await record.agree(OTHER_MODEL, instead_of=OLD_MODEL) == NEW_MODEL  # another batcher was faster
    assert await record.agree(None) == NEW_MODEL
    assert await ends.redis.pttl(KEYS.model) > 0


async def test_a_model_stays_for_a_while_after_an_upstream_last_counted_for_it(ends: QueueEnds) -> None:
    record = ModelRecord(ends.link, KEYS)
    await record.agree(OLD_MODEL)
    assert await ends.redis.pttl(KEYS.model_counted) > 0

    async def move(after_ms: int) -> ServedModel | None:
        return await record.agree(NEW_MODEL, instead_of=OLD_MODEL, after_ms=after_ms)

    async def counted_ms() -> int:
        return int(await ends.redis.get(KEYS.model_counted) or 0)

    now_ms = await counted_ms()
    assert await move(30_000) == OLD_MODEL
    await ends.redis.set(KEYS.model_counted, now_ms - 40_000)
    await record.agree(None, counted=OTHER_MODEL)  # says nothing of the one that is recorded
    assert await counted_ms() == now_ms - 40_000
    await record.agree(None, counted=OLD_MODEL)
    assert await move(30_000) == OLD_MODEL
    await ends.redis.delete(KEYS.model_counted)
    assert await move(30_000) == OLD_MODEL  # lost: the time begins anew
    await ends.redis.set(KEYS.model_counted, now_ms + 3_600_000)
    assert await move(30_000) == OLD_MODEL
    assert await counted_ms() < now_ms + 3_600_000  # of before the clock stepped back: so it does
    await ends.redis.set(KEYS.model_counted, now_ms - 40_000)
    assert await move(30_000) == NEW_MODEL
    assert await counted_ms() >= now_ms


async def test_a_model_is_set_again_where_redis_has_lost_it(ends: QueueEnds) -> None:
    record = ModelRecord(ends.link, KEYS)
    await record.agree(OLD_MODEL)
    await ends.redis.delete(KEYS.model)

    assert await record.agree(OLD_MODEL) == OLD_MODEL


async def test_what_is_no_record_is_an_error(ends: QueueEnds) -> None:
    await ends.redis.set(KEYS.model, b"[]", px=60_000)

    with pytest.raises(QueueUnavailable):
        await ModelRecord(ends.link, KEYS).agree(OLD_MODEL)
