"""`autobatch bench report`: start every system, measure everything, and write a report with pictures."""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from autobatch_bench.commands import OnlyOption, RoundsOption, SecondsOption, WorkersOption
from autobatch_bench.comparing import target_systems
from autobatch_bench.comparing.promises import GROUPS, TargetResult, asides, evaluate
from autobatch_bench.comparing.rounds import Round, neighbours
from autobatch_bench.comparing.sides import Comparison, ComparisonOptions, Varied, compare
from autobatch_bench.load.workloads import WorkloadKind, make
from autobatch_bench.report import facts, gains, grids, page, results, terminal
from autobatch_bench.systems.rig import Rig
from autobatch_bench.systems.system import ProxyPlan, UpstreamKind, started
from autobatch_shared.install_hints import install_command

TITLE = "autobatch against its upstream"
LEAD = (
    "The same load direct and through the proxy, in alternating rounds of one run, every other round backwards. Figures "
    "are medians over the rounds; ratios are those of neighbouring rounds. Load tool, upstream, Redis, batcher and "
    "workers share the machine's cores. Every status is checked. Answers of the fakes (instant, tei-queue) are checked "
    "byte for byte, those of the embedder in samples against the vectors that it gives for each text alone."
)


def report(
    *,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for report.html, its pictures and results.jsonl.")],
    upstream: Annotated[
        list[UpstreamKind] | None, typer.Option(help="Upstreams to measure; give it several times. [default: all]")
    ] = None,
    only: OnlyOption = None,
    with_targets: Annotated[bool, typer.Option(help="Measure the targets, too; with --only they are left out.")] = True,
    dirty: Annotated[
        bool, typer.Option("--dirty", help="Measure files that are not committed; the report says so.")
    ] = False,
    seconds: SecondsOption = 2.0,
    rounds: RoundsOption = 3,
    workers: WorkersOption = 2,
) -> None:
    """Measure everything and write a report. Exit status 1 if any answer was wrong or failed, 2 if nothing was measured."""
    console = Console()
    if find_spec("matplotlib") is None:
        console.print(
            f"a report needs matplotlib: {install_command('report')}", style="red", highlight=False, markup=False
        )
        raise typer.Exit(2)
    measured = facts.commit()
    if measured.is_dirty and not dirty:
        console.print(
            f"files differ from commit {measured.name}: commit them, or give --dirty", style="red", highlight=False
        )
        raise typer.Exit(2)
    out.mkdir(parents=True, exist_ok=True)
    done: list[Round] = []
    verdicts: list[TargetResult] = []
    notes: list[str] = []
    options = ComparisonOptions(seconds, rounds, only or tuple(Varied))
    with terminal.progress(console, None) as told:
        comparisons = []
        for each in upstream or UpstreamKind:
            with started(each, proxies=(ProxyPlan(workers=workers, has_nginx=True),)) as sides:
                rig = Rig(sides, is_fake=each is not UpstreamKind.EMBEDDER, told=told)
                rig.warm_up()
                comparisons.append(compare(rig, each, make(WorkloadKind.SHORT), options))
                done += rig.rounds
        if with_targets and not only:
            all_groups = target_systems.TargetOptions(tuple(GROUPS), seconds, rounds, workers, 0, is_full=False)
            figures, target_rounds = target_systems.measure(all_groups, told)
            verdicts, notes = evaluate(figures, GROUPS), asides(figures)
            done += target_rounds
    write(out, facts.collect(["autobatch", "bench", *sys.argv[1:]], measured), comparisons, verdicts, notes, done)
    console.print(f"written to {out / 'report.html'}")
    raise typer.Exit(0 if terminal.say_whether_right(console, done) else 1)


def write(
    out: Path,
    about: dict[str, str],
    comparisons: list[Comparison],
    verdicts: list[TargetResult],
    notes: list[str],
    done: list[Round],
) -> None:
    """Write report.html, results.jsonl and a folder of pictures for each upstream into a folder that exists."""
    from autobatch_bench.report import plots  # noqa: PLC0415 - matplotlib takes a second to load, and only a report needs it

    sections = _decisions(comparisons, done)
    for comparison in comparisons:
        section = page.Section(f"Upstream {comparison.upstream}")
        drawn = plots.of_comparison(comparison)
        pictures = {key: f"{comparison.upstream}/{key}.png" for key in drawn}
        for key, png in drawn.items():
            file = out / pictures[key]
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(png)
        for key, grid in grids.of_comparison(comparison).items():
            if more := pictures.get(f"{key}-latency"):
                section.add(None, more)
            section.add(grid, pictures.get(key, ""))
        sections.append(section)
    workloads = page.Section("Workloads")
    workloads.say([f"{made.name}: {made.about}; POST {made.path}" for made in map(make, WorkloadKind)])
    terms = page.Section("Terms")
    terms.say(gains.TERMS)
    sections += [workloads, terms, *([_targets(verdicts, notes)] if verdicts else [])]
    (out / "report.html").write_text(page.render(TITLE, LEAD, about, sections), encoding="utf-8")
    (out / "results.jsonl").write_bytes(results.lines(about, comparisons, verdicts, notes, done))


def _decisions(comparisons: list[Comparison], done: list[Round]) -> list[page.Section]:
    """What is gained, and where nothing is: what a reader decides by, before all tables."""
    gained, lost = page.Section("What is gained"), page.Section("Where nothing is gained")
    bad = sum(each.bad for each in done)
    gained.say([gains.FOR_WHOM, f"{sum(each.right for each in done):,} answers were right, {bad:,} wrong or failed"])
    gained.say([line for line in (neighbours(done),) if line])
    gained.say([line for comparison in comparisons if (line := gains.in_short(comparison))])
    if len(comparisons) > 1 and (table := gains.side_by_side(comparisons)).rows:
        gained.add(table)
    won = [line for comparison in comparisons for line in gains.gains(comparison)]
    gained.say(won or ["No case had more requests a second."])
    losses = [line for comparison in comparisons for line in gains.without_gain(comparison)]
    lost.say(losses or ["No case was without gain."])
    return [gained, lost]


def _targets(verdicts: list[TargetResult], notes: list[str]) -> page.Section:
    section = page.Section("Internal targets")
    section.say(["What the project measures itself by. A missed one is no fault of an installation."])
    section.add(grids.verdicts(verdicts))
    section.say(notes)
    return section
