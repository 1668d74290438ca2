"""A replica that is twenty times slower than another one takes nothing from anyone: 0.97 of the goodput of that alone, 1.1 of its p99."""

import pytest

from autobatch_batcher.simulating.law import law_of
from tests.laws.judging import GOODPUT_MIN, P99_MAX
from tests.laws.points import LAWS
from tests.laws.replicas import REPLICAS_POINTS, ReplicasPoint, slower


@pytest.mark.parametrize("point", REPLICAS_POINTS, ids=lambda point: point.name)
def test_beside_a_slow_replica_the_fast_one_does_as_much_as_alone(point: ReplicasPoint) -> None:
    alone, beside = point.run(()), point.run((slower(law_of(LAWS[point.law])),))
    assert beside.goodput >= GOODPUT_MIN * alone.goodput
    assert beside.p99_ms <= P99_MAX * alone.p99_ms
