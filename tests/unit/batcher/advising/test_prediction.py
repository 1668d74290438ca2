"""What clients would gain."""

import msgspec
import pytest

from autobatch_batcher.advising.direct_run import ListLoop
from autobatch_batcher.advising.measuring.measured import Measured
from autobatch_batcher.advising.prediction import FoundLaw, expected_gain, find_law, proxy_cpu_ms, sharing_cores
from autobatch_batcher.simulating.batchers import SimulatedFleet, run_batchers
from autobatch_batcher.simulating.law import law_of
from autobatch_batcher.simulating.score import score
from autobatch_shared.settings.definitions import BatcherSettings
from tests.unit.batcher.advising.known_server import measured_of

pytestmark = pytest.mark.simulated

SLOW = "padded:fixed_ms=40,per_unit_us=50"
DEFAULTS = BatcherSettings.model_construct()


@pytest.fixture(scope="module")
def measured() -> Measured:
    return measured_of(SLOW, 10.0)


@pytest.fixture(scope="module")
def found(measured: Measured) -> FoundLaw:
    return find_law(measured)


def test_sixteen_clients_gain_by_batches(found: FoundLaw, measured: Measured) -> None:
    sixteen = expected_gain(found, measured, 16, DEFAULTS)
    assert 1.5 < sixteen.gain
    assert sixteen.low < sixteen.gain < sixteen.high
    assert sixteen.batch > 1.5


def test_a_lone_client_pays_for_the_round_trips_also_where_it_was_not_measured(
    found: FoundLaw, measured: Measured
) -> None:
    unmeasured = msgspec.structs.replace(measured, loads=tuple(load for load in measured.loads if not load.is_single))
    alone = expected_gain(found, unmeasured, 1, DEFAULTS)
    assert not alone.is_measured
    assert 0.9 < alone.gain < 1
    (load, *_) = measured.single_loads(1)
    assert pytest.approx(load.inputs_per_s, rel=0.1) == alone.direct_per_s


def test_a_proxy_on_the_servers_own_machine_takes_from_what_is_not_idle(found: FoundLaw, measured: Measured) -> None:
    def per_input_us(idle: float, cores: int | None) -> float:
        loads = tuple(msgspec.structs.replace(load, idle=idle) for load in measured.loads)
        shared = msgspec.structs.replace(measured, loads=loads, cores=cores)
        return sharing_cores(found.law, shared, 16, 100.0, 0.6).per_input_us

    own_us = found.law.per_input_us
    assert own_us == per_input_us(0.5, 2)  # ten milliseconds of CPU are idle for each request
    assert own_us + 300 == per_input_us(0.0, 2)  # 0.6 ms, of two cores
    assert own_us == per_input_us(0.0, None)


def test_the_proxys_cpu_time_is_counted_in_multiples_of_a_direct_requests(found: FoundLaw, measured: Measured) -> None:
    """A core that is twice as slow is so for both, and a lone client waits for all of it."""

    def alone(own_cpu_ms: float) -> float:
        loads = tuple(msgspec.structs.replace(load, own_cpu_ms=own_cpu_ms) for load in measured.loads)
        slow = msgspec.structs.replace(measured, loads=loads)
        assert pytest.approx(7.1 * own_cpu_ms) == proxy_cpu_ms(slow, 1)
        return 1000 / expected_gain(found, slow, 1, DEFAULTS).proxied_per_s

    assert pytest.approx(2 * 7.1, rel=0.1) == alone(4.0) - alone(2.0)


def test_a_lone_client_of_a_server_that_is_faster_then_pays_as_much_for_the_proxy(
    found: FoundLaw, measured: Measured
) -> None:
    """What the law misses is the server's time, to which the proxy's is added."""

    def paid_ms(times: float) -> float:
        loads = tuple(
            msgspec.structs.replace(load, inputs_per_s=times * load.inputs_per_s, own_cpu_ms=1.0)
            for load in measured.loads
        )
        alone = expected_gain(found, msgspec.structs.replace(measured, loads=loads), 1, DEFAULTS)
        return 1000 / alone.proxied_per_s - 1000 / alone.direct_per_s

    assert pytest.approx(7.1, rel=0.1) == paid_ms(1.0)
    assert pytest.approx(paid_ms(1.0), rel=0.01) == paid_ms(1.5)


def test_what_many_calls_cost_the_server_beyond_its_law_is_not_held_against_a_few_large_ones(
    found: FoundLaw, measured: Measured
) -> None:
    crowded = msgspec.structs.replace(
        measured,
        loads=tuple(
            msgspec.structs.replace(load, inputs_per_s=load.inputs_per_s * (0.7 if load.clients == 16 else 1.0))
            for load in measured.loads
        ),
    )
    before, after = (expected_gain(found, each, 16, DEFAULTS) for each in (measured, crowded))
    assert pytest.approx(0.7 * before.direct_per_s) == after.direct_per_s
    assert pytest.approx(before.proxied_per_s, rel=0.02) == after.proxied_per_s


def test_one_short_text_after_the_other_being_fast_says_little_of_large_calls(
    found: FoundLaw, measured: Measured
) -> None:
    loads = tuple(
        msgspec.structs.replace(
            load, inputs_per_s=load.inputs_per_s * (1.3 if load.clients == 1 and load.is_single else 1)
        )
        for load in measured.loads
    )
    warm = msgspec.structs.replace(measured, loads=loads)
    before, after = (expected_gain(found, each, 16, DEFAULTS) for each in (measured, warm))
    assert before.batch > 4
    assert pytest.approx(before.proxied_per_s, rel=0.06) == after.proxied_per_s


def test_where_a_target_refuses_nearly_all_of_many_clients_some_are_answered(
    found: FoundLaw, measured: Measured
) -> None:
    """A client that was refused waits before it asks again, as those do that were measured: else the proxy would only refuse."""
    loads = tuple(msgspec.structs.replace(load, own_cpu_ms=0.6) for load in measured.loads)
    settings = BatcherSettings.model_construct(target_p99_ms=200)
    many = expected_gain(found, msgspec.structs.replace(measured, loads=loads), 256, settings)
    assert 0 < many.proxied_per_s
    assert 0 < many.refused < 1


def test_what_a_server_does_with_calls_of_one_part_is_not_held_against_larger_ones() -> None:
    """Lists of like lengths keep one of its two cores busy, and calls of mixed lengths both."""
    text = "unpadded:fixed_ms=5,per_unit_us=30,per_input_us=400,cores=2,part_units=590,pass_inputs_max=32"
    seen = measured_of(text, 20.0)
    sixteen = expected_gain(find_law(seen), seen, 16, DEFAULTS)
    history = run_batchers(
        law_of(text), ListLoop(16, [(length,) for length in seen.lengths]), SimulatedFleet(DEFAULTS), 15.0
    )
    assert pytest.approx(score(history, 9.0, 15.0).goodput, rel=0.05) == sixteen.proxied_per_s
