"""`python -m tests.simulation`: play many schedules, or one again.

--seeds 100000 [--first 0]   on all cores; prints what was found, exit status 1 if anything was
--seed 38                    one, with the last steps of it
"""

import argparse
import gc
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from multiprocessing import get_context

from tests.simulation.schedule import Judged, play
from tests.simulation.timeline import lines_of

CHUNK = 50  # schedules that a process takes at once
COLLECTED_AFTER = 4  # schedules: 16 ms each, where it was 18 with the garbage of 60, for which the caches have no room
SHOWN = 40


def play_some(seeds: Sequence[int]) -> list[Judged]:
    """Play schedules one after the other; only those with findings keep their trace."""
    verdicts = []
    for seed in seeds:
        verdict = play(seed)
        verdicts.append(verdict if verdict.findings else verdict.without_trace())
        if seed % COLLECTED_AFTER == 0:
            gc.collect()
    return verdicts


def play_all(first: int, count: int, processes: int) -> list[Judged]:
    """Play so many schedules on so many cores."""
    chunks = [range(at, min(at + CHUNK, first + count)) for at in range(first, first + count, CHUNK)]
    with get_context("fork").Pool(processes, _begin) as pool:
        verdicts = [verdict for some in pool.imap_unordered(play_some, chunks) for verdict in some]
        pool.close()
        pool.join()  # only then is their processor time known
    return verdicts


def _begin() -> None:
    """Do once in each process what would cost time in each schedule."""
    gc.disable()
    gc.freeze()
    logging.disable(logging.WARNING)


def report(verdicts: Sequence[Judged], seconds: float, cpu_seconds: float) -> list[str]:
    """Return the lines that say what was played and what was found."""
    played = f"{len(verdicts)} schedules in {seconds:.0f} s, {cpu_seconds / len(verdicts) * 1000:.1f} ms of CPU each"
    faults = Counter(fault for verdict in verdicts for fault in verdict.faults)
    outcomes: Counter[str] = Counter()
    for verdict in verdicts:
        outcomes.update(verdict.outcomes)
    found = sorted((verdict for verdict in verdicts if verdict.findings), key=lambda verdict: verdict.seed)
    lines = [
        f"{played}, {outcomes.total()} requests, {faults.total()} faults",
        f"{len(found)} schedules with findings",
        "requests: " + ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common()),
        "faults: " + ", ".join(f"{count} {fault}" for fault, count in faults.most_common()),
    ]
    for verdict in found[:SHOWN]:
        lines += [f"seed {verdict.seed} ({', '.join(verdict.faults)})", *(f"    {each}" for each in verdict.findings)]
    return lines


def main() -> int:
    """Play what the arguments say; return the exit status."""
    options = argparse.ArgumentParser(description="Play schedules of faults under virtual time.")
    options.add_argument("--seeds", type=int, default=1000)
    options.add_argument("--first", type=int, default=0)
    options.add_argument("--seed", type=int)
    options.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    chosen = options.parse_args()
    if chosen.seed is not None:
        verdict = play(chosen.seed)
        print(
            *lines_of(verdict.trace),
            *(verdict.findings or ["nothing was found"]),
            f"digest {verdict.digest:08x}",
            sep="\n",
        )
        return 1 if verdict.findings else 0
    started_s = time.monotonic()
    verdicts = play_all(chosen.first, chosen.seeds, chosen.processes)
    times = os.times()
    cpu_seconds = times.children_user + times.children_system
    print(*report(verdicts, time.monotonic() - started_s, cpu_seconds), sep="\n")
    return 1 if any(verdict.findings for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
