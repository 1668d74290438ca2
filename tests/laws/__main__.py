"""`python -m tests.laws [WORDS]`: the points with WORDS in their name, one line each; `--targets` shows TARGET_P99_MS.

`--search [WORDS]` finds the best fixed policies of the laws with WORDS in their name again.
"""

import json
import sys
import time

from tests.laws import targets
from tests.laws.best_fixed import search
from tests.laws.judging import judge
from tests.laws.points import LAWS, POINTS


def main(argv: list[str]) -> None:
    """Do what the words say."""
    if argv[:1] == ["--search"]:
        words = " ".join(argv[1:])
        laws = [law for law in LAWS if words in law]
        search(laws)
        targets.search(laws)
        return
    if argv == ["--targets"]:
        show_targets()
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


def show_targets() -> None:
    """Print what is answered within a target, beside the best window."""
    windows = json.loads(targets.FOUND.read_text())
    for point in targets.TARGET_POINTS:
        scored, (window, goodput) = targets.run_targeted(point), windows[point.name]
        print(
            f"{point.name:25} p99 {scored.p99_ms:5.0f} of {point.target_ms:4} ms, {scored.goodput:5.0f}/s, "
            f"{scored.goodput / goodput:4.2f} times that of {window} ({goodput:.0f})",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
