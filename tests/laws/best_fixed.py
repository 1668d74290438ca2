"""The best fixed policy of each point, found by trying all; what was found is kept, because it takes minutes.

The best is the one with the highest goodput; of those within a hundredth of it, the one with the lowest p99.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from autobatch_batcher.simulating.fixed_policies import FixedPolicy, fixed_policies, run_fixed
from autobatch_batcher.simulating.law import law_of
from autobatch_batcher.simulating.score import Score, score
from autobatch_batcher.simulating.workers import CALL_S, CLAIM_S, PUSH_S, REPLY_S
from tests.laws.points import (
    AFTER_OTHERS,
    CHANGES_AT_S,
    CLOSED_MOST,
    LAWS,
    LEARNING_S,
    OPEN,
    POINTS,
    RUN_S,
    SEED,
    TRAFFICS,
    traffic_of,
)

FOUND = Path(__file__).with_name("best_fixed.json")
TIE = 0.99
LOOK_S, HOPEFUL = (2.0, 6.0), 0.85  # what does so much worse in a first look is not tried for as long as the others
LOOK_AFTER_S = (CHANGES_AT_S + 1.0, CHANGES_AT_S + 5.0)  # the same where the traffic changes


class BestFixed(NamedTuple):
    """The best fixed policy of a point.

    Attributes:
        policy: Its name.
        goodput: Inputs a second.
        p99_ms: Of single requests.
    """

    policy: str
    goodput: float
    p99_ms: float


def checksums() -> dict[str, str]:
    """Return of each law what changes with everything that its search depends on."""
    of_all = (
        [(traffic, _first_requests(traffic)) for traffic in TRAFFICS],
        (LEARNING_S, RUN_S, OPEN, CHANGES_AT_S),
        (PUSH_S, CLAIM_S, CALL_S, REPLY_S, TIE, LOOK_S, LOOK_AFTER_S, HOPEFUL),
    )

    def of(law: str) -> str:
        return f"{crc32(repr((LAWS[law], [policy.name for policy in _policies(law)], of_all)).encode()):08x}"

    return {law: of(law) for law in LAWS}


def _policies(law: str) -> Iterator[FixedPolicy]:
    return fixed_policies(law_of(LAWS[law]).parallel)


def _first_requests(traffic: str) -> list[tuple[float, tuple[int, ...]]]:
    return [(at_s, asked.lengths) for at_s, asked in islice(traffic_of(traffic, 100.0).arrivals(), 300)]


def found() -> dict[str, BestFixed]:
    """Return what was found, by the names of the points."""
    return {name: BestFixed(*best) for name, best in json.loads(FOUND.read_text())["points"].items()}


def search(laws: Sequence[str]) -> None:
    """Search all points of these laws, on all cores, and keep what is found."""
    kept = json.loads(FOUND.read_text())
    with ProcessPoolExecutor() as workers:
        bests = {name: best for of_law in workers.map(_search_law, laws) for name, best in of_law.items()}
    sums, points, now = kept["checksums"], found() | bests, checksums()
    checked = _lines({law: now[law] if law in laws else sums[law] for law in LAWS if law in laws or law in sums})
    lines = _lines({point.name: points[point.name] for point in POINTS if point.name in points})
    FOUND.write_text(f'{{\n  "seed": {SEED},\n  "checksums": {{\n{checked}\n  }},\n  "points": {{\n{lines}\n  }}\n}}\n')


def _lines(entries: Mapping[str, object]) -> str:
    return ",\n".join(f"    {json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries.items())


def _search_law(law: str) -> dict[str, BestFixed]:
    bests: dict[str, BestFixed] = {}
    for traffic in sorted(TRAFFICS, key=lambda kind: kind in OPEN):
        bests[traffic] = _search_point(law, traffic, bests[CLOSED_MOST].goodput if traffic in OPEN else 0.0)
    return {f"{law} / {traffic}": bests[traffic] for traffic in TRAFFICS}


def _search_point(law: str, traffic: str, capacity: float) -> BestFixed:
    def tried(policy: FixedPolicy, since_s: float, until_s: float) -> Score:
        history = run_fixed(law_of(LAWS[law]), traffic_of(traffic, capacity), policy, until_s, seed=SEED)
        return score(history, since_s, until_s)

    look_s = LOOK_AFTER_S if traffic == AFTER_OTHERS else LOOK_S
    looked_at = {policy: tried(policy, *look_s).goodput for policy in _policies(law)}
    hopeful = [policy for policy, goodput in looked_at.items() if goodput >= HOPEFUL * max(looked_at.values())]
    return best_of([(policy.name, tried(policy, LEARNING_S, RUN_S)) for policy in hopeful])


def best_of(tried: Sequence[tuple[str, Score]]) -> BestFixed:
    """Return the best of the policies that were tried."""
    most = max(each.goodput for _, each in tried)
    name, best = min(
        ((name, each) for name, each in tried if each.goodput >= TIE * most), key=lambda pair: pair[1].p99_ms
    )
    return BestFixed(name, round(best.goodput, 2), round(best.p99_ms, 2))
