"""The range of an int8 input: what it covers, and how near the components come."""

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from autobatch_embedder.model.network.int8_ranges import COPIES_SHARE, Int8Range, fitted

COMPONENTS = 96


def rounded(values: npt.NDArray[np.float32], found: Int8Range) -> npt.NDArray[np.float32]:
    """The values that remain of an input: those of its integers, and the sum of the copies' where there are copies."""

    def stored(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        levels = np.clip(np.rint(x / found.scale) + found.zero, 0, 255)
        kept: npt.NDArray[np.float32] = ((levels - found.zero) * found.scale).astype(np.float32)
        return kept

    kept = stored(values)
    kept[found.copied] = 0
    np.add.at(kept, found.copied, stored(values[found.copied] * found.shares))
    return kept


@settings(max_examples=25)
@given(
    st.lists(st.floats(2**-7, 128, width=32), min_size=COMPONENTS, max_size=COMPONENTS),
    st.lists(st.floats(2**-7, 128, width=32), min_size=COMPONENTS, max_size=COMPONENTS),
)
def test_all_that_was_seen_is_kept_to_a_step_for_each_copy(low: list[float], high: list[float]) -> None:
    lows, highs = -np.array(low, dtype=np.float32), np.array(high, dtype=np.float32)
    found = fitted(lows, highs)

    assert found.copied.size <= COMPONENTS * COPIES_SHARE
    copies = np.maximum(np.bincount(found.copied, minlength=COMPONENTS), 1)
    for values in (lows, highs, lows / np.float32(3)):
        assert np.all(np.abs(rounded(values, found) - values) <= 1.01 * found.scale * copies)


def test_one_large_component_does_not_take_the_others_range() -> None:
    highs = np.ones(COMPONENTS, dtype=np.float32)
    highs[7] = 3.5
    found = fitted(-highs, highs)

    assert [7, 7, 7, 7] == found.copied.tolist()
    assert found.scale < 2.5 / 255


def test_a_short_side_stays_whole() -> None:
    """The activation's negative values end at -0.17."""
    found = fitted(np.full(COMPONENTS, -0.17, dtype=np.float32), np.ones(COMPONENTS, dtype=np.float32))

    assert 0 == found.copied.size
    assert abs(found.zero - 0.17 / 1.17 * 255) <= 1


def test_an_input_that_is_never_negative_has_its_zero_at_the_end() -> None:
    found = fitted(np.zeros(COMPONENTS, dtype=np.float32), np.ones(COMPONENTS, dtype=np.float32))

    assert 0 == found.zero
