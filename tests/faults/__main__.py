"""`python -m tests.faults [--patient] [WORDS]`: the fault campaign, all of it or the scenarios with these words in their name.

Prints a table; exit status 1 if a requirement was missed, 2 if no scenario has these words.
"""

import argparse
import asyncio
import resource
import sys
import time

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tests.faults.campaign import PATIENT, USUAL, CampaignPace, Scenario, is_failed, run
from tests.faults.memory import used_mb
from tests.faults.outcome import AnswerKind, FaultRow
from tests.faults.scenarios import SCENARIOS
from tests.faults.world import open_world

WIDTH = 150  # also if the output goes to a file


async def play(scenarios: list[Scenario], console: Console, pace: CampaignPace) -> list[FaultRow]:
    """Run scenarios; those with the same upstreams and the same kind of Redis share one world."""
    rows = []
    for replicas, servers, own_links in sorted({scenario.world for scenario in scenarios}):
        async with open_world(replicas, servers, own_links=own_links, deadline_s=pace.deadline_s) as world:
            memory_mb: dict[str, float] = {}
            for scenario in (each for each in scenarios if each.world == (replicas, servers, own_links)):
                row = await run(scenario, world, memory_mb, pace)
                memory_mb = memory_mb or await used_mb(world)  # as it is once warm
                rows.append(row)
                console.print(
                    f"{'FAILED' if is_failed(row) else 'ok':7}{row.fault}  {row.complaints or ''}", highlight=False
                )
    return rows


def table(rows: list[FaultRow]) -> Table:
    """Return the last line to print."""
    made = Table("fault", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    kinds = (AnswerKind.RIGHT, AnswerKind.CLEAR, AnswerKind.CUT, AnswerKind.WRONG, AnswerKind.LOST, AnswerKind.HUNG)
    for heading in ("sent", *kinds, "doubled", "slowest ms", "recovery s"):
        made.add_column(str(heading), justify="right")
    for row in rows:
        cells = [row.sent, *(row.counts[kind] for kind in kinds), row.doubled, round(row.slowest_ms)]
        made.add_row(row.fault, *map(str, cells), f"{row.recovery_s:.1f}", style="bold red" if is_failed(row) else "")
    totals = [sum(row.sent for row in rows), *(sum(row.counts[kind] for row in rows) for kind in kinds)]
    made.add_section()
    doubled, slowest = sum(row.doubled for row in rows), max(row.slowest_ms for row in rows)
    made.add_row("all", *map(str, (*totals, doubled, round(slowest))), f"{max(row.recovery_s for row in rows):.1f}")
    return made


def chosen_by(argv: list[str]) -> tuple[list[Scenario], CampaignPace]:
    """The scenarios that the command line names, and their pace; leaves with status 2 where it names none."""
    parser = argparse.ArgumentParser(
        "python -m tests.faults", description="Cause faults under load, and judge every answer."
    )
    parser.add_argument("words", nargs="*", metavar="WORD", help="only scenarios that have all of these in their name")
    parser.add_argument(
        "--patient",
        action="store_true",
        help="less load and more time, as for the tests: for a machine that does much else",
    )
    parser.add_argument("--list", action="store_true", help="print their names, and run none")
    given = parser.parse_args(argv)
    chosen = [each for each in SCENARIOS if all(word in each.name for word in given.words)]
    if not chosen:
        parser.error(f"no scenario has these words in its name: {' '.join(given.words)}")
    if given.list:
        parser.exit(0, "".join(f"{each.name}\n" for each in chosen))
    return chosen, PATIENT if given.patient else USUAL


def main() -> int:
    """Run the campaign; return the exit status."""
    chosen, pace = chosen_by(sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    console = Console(width=WIDTH)
    started_s = time.monotonic()
    rows = asyncio.run(play(chosen, console, pace))
    console.print(table(rows))
    failed = [row for row in rows if is_failed(row)]
    console.print(f"{len(rows)} faults in {time.monotonic() - started_s:.0f} s, {len(failed)} failed", highlight=False)
    for row in failed:
        console.print(f"  {row.fault}: {'; '.join(row.complaints) or 'a demanded zero was missed'}", highlight=False)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
