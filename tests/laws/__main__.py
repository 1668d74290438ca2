"""`python -m tests.laws [WORDS]`: the points with WORDS in their name, one line each; `--search` finds the best fixed policies again."""

import sys
import time

from tests.laws.best_fixed import search
from tests.laws.judging import judge
from tests.laws.points import POINTS


def main(argv: list[str]) -> None:
    """Do what the words say."""
    if argv == ["--search"]:
        search()
        return
    words = " ".join(argv)
    chosen = [point for point in POINTS if words in point.name]
    print(
        f"{'point':27} {'goodput':>8} {'of best':>7} {'p99 ms':>8} {'of best':>7} {'batch':>6} {'padding':>7}  best fixed"
    )
    reached, began_s = 0, time.process_time()
    for point in chosen:
        judged = judge(point)
        auto, best = judged.auto, judged.best
        reached += judged.is_reached
        print(
            f"{point.name:27} {auto.goodput:8.1f} {judged.goodput:7.2f} {auto.p99_ms:8.1f} {judged.p99:7.2f} {auto.batch:6.1f} "
            f"{auto.padding:7.0%}  {best.policy} ({best.goodput:.0f}, {best.p99_ms:.0f} ms); whole run {judged.whole.goodput:.0f}"
            + ("" if judged.is_reached else "  NOT REACHED"),
            flush=True,
        )
    print(f"{reached} of {len(chosen)} reached, {time.process_time() - began_s:.0f} s of CPU")


if __name__ == "__main__":
    main(sys.argv[1:])
