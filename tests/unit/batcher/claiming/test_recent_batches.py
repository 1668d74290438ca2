"""What a batcher keeps of its last batches."""

from autobatch_batcher.claiming.recent_batches import RecentBatches
from autobatch_shared.watching.activity import BATCHES_MAX, RECENT_S, SeenBatch

NOW_MS = 1_800_000_000_500


def add(recent: RecentBatches, *, url: str = "http://a", answered: int = 3, failed: int = 0) -> None:
    recent.ended.append((SeenBatch(NOW_MS, url, "due", 4, 32, 4, 0.25, 40, 20.0, failed), answered))


def test_only_the_last_ones_are_kept() -> None:
    recent = RecentBatches()
    for _ in range(3 * BATCHES_MAX):
        add(recent)
    recent.turn(NOW_MS)
    add(recent)
    recent.turn(NOW_MS)
    assert BATCHES_MAX == len(recent.batches)


def test_each_upstream_is_summed_up_for_ten_turns() -> None:
    recent = RecentBatches()
    add(recent)
    add(recent, failed=2, answered=0)
    add(recent, url="http://b")
    recent.turn(NOW_MS)
    found = [recent.of_upstream("http://a", None) for _ in range(RECENT_S + 1)]
    assert [(2, 3, 2)] * RECENT_S + [(0, 0, 0)] == [(each.batches, each.inputs, each.failed) for each in found]
    assert (2, 0) == (sum(count for _, count in found[0].took), len(found[-1].took))


def test_answered_inputs_are_counted_by_second() -> None:
    recent = RecentBatches()
    recent.turn(NOW_MS)
    add(recent, answered=10)
    recent.turn(NOW_MS + 1000)
    assert [5, 5] == recent.turn(NOW_MS + 1500)[-2:], "it came within two halves of seconds"
