"""What clients would gain."""

import msgspec
import pytest

from autobatch_batcher.advising.prediction import FoundLaw, expected_gain, find_law
from autobatch_batcher.simulating.law import law_of
from autobatch_shared.settings.definitions import BatcherSettings
from tests.unit.batcher.advising.known_server import measured_of

SLOW = "padded:fixed_ms=40,per_unit_us=50"
DEFAULTS = BatcherSettings.model_construct()


@pytest.fixture(scope="module")
def found() -> FoundLaw:
    return find_law(MEASURED)


MEASURED = measured_of(SLOW, 20.0)


def test_a_lone_client_pays_for_the_round_trips_and_sixteen_gain_by_batches(found: FoundLaw) -> None:
    alone, sixteen = (expected_gain(found, MEASURED, clients, DEFAULTS) for clients in (1, 16))
    assert 0.9 < alone.gain < 1
    assert 1.5 < sixteen.gain
    assert sixteen.low < sixteen.gain < sixteen.high
    assert sixteen.batch > 1.5


def test_clients_that_could_not_be_measured_are_simulated(found: FoundLaw) -> None:
    unmeasured = msgspec.structs.replace(
        MEASURED, loads=tuple(load for load in MEASURED.loads if load.clients != 16 or not load.is_single)
    )
    simulated, measured = (expected_gain(found, each, 16, DEFAULTS) for each in (unmeasured, MEASURED))
    assert not simulated.is_measured
    assert measured.is_measured
    assert pytest.approx(measured.direct_per_s, rel=0.1) == simulated.direct_per_s


def test_a_proxy_on_the_servers_own_machine_takes_from_what_is_not_idle(found: FoundLaw) -> None:
    def gain(idle: float) -> float:
        loads = tuple(msgspec.structs.replace(load, idle=idle) for load in MEASURED.loads)
        shared = msgspec.structs.replace(MEASURED, loads=loads, cores=2)
        quick = msgspec.structs.replace(found, law=law_of("padded:fixed_ms=1,per_unit_us=50"))
        return expected_gain(quick, shared, 1, DEFAULTS).gain

    assert gain(0.0) < 0.95 * gain(1.0)
