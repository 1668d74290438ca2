"""What is measured of a server of a known law is that law."""

import pytest

from autobatch_batcher.advising.law_fit import fit_law, predicted_s
from autobatch_batcher.advising.measuring.measured import TimedCall
from autobatch_batcher.advising.prediction import find_law
from autobatch_batcher.simulating.law import law_of
from tests.unit.batcher.advising.known_server import measured_of

pytestmark = pytest.mark.simulated

SECONDS = 10.0


@pytest.mark.parametrize(
    "text",
    [
        "padded:fixed_ms=4,per_unit_us=13",
        "padded:fixed_ms=2,per_unit_us=5,pass_inputs_max=8,beside_ms=1.5",
        "unpadded:fixed_ms=20,per_unit_us=12,parallel=4",
    ],
)
def test_a_known_law_is_found(text: str) -> None:
    law, found = law_of(text), find_law(measured_of(text, SECONDS))
    assert (law.is_padded, law.pass_inputs_max) == (found.law.is_padded, found.law.pass_inputs_max)
    assert law.parallel == found.law.parallel
    assert pytest.approx(law.per_unit_us, rel=0.05) == found.law.per_unit_us
    assert pytest.approx(law.fixed_ms + law.beside_ms, rel=0.1) == found.law.fixed_ms + found.law.beside_ms
    assert found.call_error < 0.03
    assert found.load_error < 0.15


def test_a_server_that_joins_the_texts_of_all_calls_is_told_from_one_that_does_not() -> None:
    """Single calls of up to 32 texts look alike to both."""
    joined = "unpadded:fixed_ms=20,per_unit_us=12,pass_inputs_max=64,said_inputs=0"
    assert find_law(measured_of(joined, SECONDS)).law.pass_inputs_max >= 16


def test_passes_are_as_large_as_the_server_says_and_made_up_as_calls_show() -> None:
    """Twice four inputs first, and then eight at a time, are easily taken for four at a time."""
    text = (
        "padded:fixed_ms=2,per_unit_us=10,per_input_us=500,beside_ms=2,pass_inputs_max=8,passes_ahead=1,first_inputs=4"
    )
    law = find_law(measured_of(text, SECONDS)).law
    assert (8, 8, 1, 4) == (law.pass_inputs_max, law.said_inputs, law.passes_ahead, law.first_inputs)


def test_a_server_that_does_not_say_how_large_its_passes_are_says_nothing_to_the_batcher_either() -> None:
    law = find_law(measured_of("padded:fixed_ms=2,per_unit_us=5,pass_inputs_max=8,said_inputs=0", SECONDS)).law
    assert (8, None) == (law.pass_inputs_max, law.said_pass_inputs)


def test_a_server_that_divides_calls_among_its_cores_is_found() -> None:
    """A call of one part is computed by one core, and costs twice as much a text as a larger one."""
    text = "unpadded:fixed_ms=5,per_unit_us=30,per_input_us=400,cores=2,part_units=590,said_inputs=32"
    law, found = law_of(text), find_law(measured_of(text, SECONDS))
    assert 2 == found.law.cores
    assert pytest.approx(law.part_units, rel=0.15) == found.law.part_units
    assert pytest.approx(law.per_unit_us, rel=0.05) == found.law.per_unit_us
    assert found.call_error < 0.03
    assert found.load_error < 0.15


def test_where_texts_are_cut_is_found_among_calls_that_are_longer() -> None:
    law = law_of("padded:fixed_ms=2,per_unit_us=10,cut_units=500")
    calls = [
        TimedCall((length,) * size, (predicted_s(law, (length,) * size),) * 3)
        for length in (50, 200, 450, 900, 1600)
        for size in (1, 2, 4, 8, 16)
    ]
    assert 500 == fit_law(calls, cut_units=500).law.cut_units
    assert 0 == fit_law([call for call in calls if call.lengths[0] < 500], cut_units=500).law.cut_units


def test_a_knee_is_found() -> None:
    law = law_of("padded:fixed_ms=15,per_unit_us=4,knee_units=4000")
    calls = [
        TimedCall((length,) * size, (predicted_s(law, (length,) * size),) * 3)
        for length in (125, 500, 1000)
        for size in (1, 2, 4, 8, 16, 32)
    ]
    fitted = fit_law(calls).law
    assert 2000 <= fitted.knee_units <= 4000
    assert pytest.approx(4, rel=0.15) == fitted.per_unit_us


def test_a_pause_of_the_machine_is_no_price() -> None:
    law = law_of("padded:fixed_ms=2,per_unit_us=10")
    calls = []
    for lengths in ((100,), (100,) * 8, (100,) * 32, (400,), (400,) * 4, (400,) * 16):
        usual_s = predicted_s(law, lengths)
        calls.append(TimedCall(lengths, (usual_s, usual_s, 30 * usual_s)))
    assert pytest.approx(10, rel=0.01) == fit_law(calls).law.per_unit_us
