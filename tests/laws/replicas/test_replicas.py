"""A replica that is twenty times slower than another one takes nothing from anyone: 0.97 of the goodput of that alone, 1.25 of its p99.

Which of two upstreams is called first is chance, and with it a p99 of ten seconds differs by a tenth.
"""

import pytest

from autobatch_batcher.simulating.law import law_of
from tests.laws.judging import GOODPUT_MIN
from tests.laws.points import LAWS
from tests.laws.replicas.points import REPLICAS_POINTS, ReplicasPoint, slower

P99_MAX = 1.25


@pytest.mark.parametrize("point", REPLICAS_POINTS, ids=lambda point: point.name)
def test_beside_a_slow_replica_the_fast_one_does_as_much_as_alone(point: ReplicasPoint) -> None:
    alone, beside = point.run(()), point.run((slower(law_of(LAWS[point.law])),))
    assert beside.goodput >= GOODPUT_MIN * alone.goodput
    assert beside.p99_ms <= P99_MAX * alone.p99_ms
