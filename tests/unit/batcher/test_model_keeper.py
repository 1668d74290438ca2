"""When a batcher moves the namespace's model: at once if its own upstreams changed, else a while after the last that counted."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from autobatch_batcher.model_keeper import ModelKeeper
from autobatch_batcher.upstreams.standing import Standing
from autobatch_shared.contract.models import ServedModel
from autobatch_shared.redis.clock import RedisClock

OLD, NEW = (ServedModel(name * 8, name, "{}") for name in "ab")
CHANGE_AFTER_MS = 30_000


class StandingUpstream:
    """An upstream of which only the standing counts."""

    def __init__(self, served: ServedModel) -> None:
        self.standing = Standing()
        self.counts_for = served.fingerprint
        self.become(served)
        self.standing.is_tried = True

    def become(self, served: ServedModel) -> None:
        self.standing.learnt(served)
        self.counts_for = served.fingerprint

    def follow(self, model: ServedModel, _now_s: float) -> None:
        self.standing.follow(model)


@dataclass
class Record:
    """Notes what is asked of it; it is never due to be replaced.

    Attributes:
        counted: Whether each look said that an upstream counts for the record.
        moves_after_ms: What each attempt to replace the record asked for.
    """

    counted: list[bool] = field(default_factory=list)
    moves_after_ms: list[int] = field(default_factory=list)

    async def agree(
        self,
        _proposed: ServedModel | None,
        instead_of: ServedModel | None = None,
        *,
        after_ms: int = 0,
        counted: ServedModel | None = None,
    ) -> ServedModel:
        if instead_of is not None:
            self.moves_after_ms.append(after_ms)
        else:
            self.counted.append(counted is not None)
        return OLD


class RecordingControl:
    """Knows one batcher only."""

    def __init__(self, upstream: StandingUpstream) -> None:
        self.upstreams = [upstream]

    async def fleet(self) -> "RecordingControl":
        return self


def keeper_of(upstream: Any, record: Any) -> ModelKeeper:
    control: Any = RecordingControl(upstream)
    return ModelKeeper([upstream], record, control, RedisClock(), CHANGE_AFTER_MS)


@pytest.mark.parametrize("looks", [1, 2])
@pytest.mark.parametrize(("first", "after_ms"), [(OLD, 0), (NEW, CHANGE_AFTER_MS)])
async def test_only_a_batcher_whose_upstream_changed_moves_the_model_at_once(
    first: ServedModel, after_ms: int, looks: int
) -> None:
    upstream, record = StandingUpstream(first), Record()
    keeper = keeper_of(upstream, record)
    for _ in range(looks):
        await keeper.look()
    assert record.counted[1:] == [first is OLD] * (looks - 1)
    record.moves_after_ms.clear()

    upstream.become(NEW)
    await keeper.look()

    assert record.moves_after_ms == [after_ms]
