"""`autobatch simulate`, which is `python -m autobatch_batcher.simulating`: what batchers would do with a trace of requests."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from autobatch_batcher.simulating.batchers import SimulatedFleet, run_batchers
from autobatch_batcher.simulating.clients import TimedArrivals
from autobatch_batcher.simulating.fixed_policies import FixedPolicy, PolicyError, fixed_policies, policy_of, run_fixed
from autobatch_batcher.simulating.law import LawError, SimulatedLaw, law_of
from autobatch_batcher.simulating.score import Score, score
from autobatch_batcher.simulating.trace_file import TraceError, read_trace
from autobatch_batcher.tuning.tuner import CALLS_FIRST
from autobatch_shared.settings.definitions import BatcherSettings
from autobatch_shared.settings.loading import load

AUTO, ALL = "auto", "all"
ANSWERING_S = 30.0  # after the last arrival, for what waits then
HEAD = f"{'policy':20} {'goodput/s':>9} {'p50 ms':>8} {'p99 ms':>8} {'batch':>6} {'padding':>7} {'left':>6}"


def main(argv: Sequence[str]) -> int:
    """Simulate and print. Exit status 2 where an argument is wrong."""
    arguments, others = _parser().parse_known_args(argv)
    settings = load(BatcherSettings, others)
    try:
        law = law_of(arguments.upstream)
        together = _together(law, arguments.upstreams)
        arrivals = read_trace(arguments.trace)
        policies = list(_policies(arguments.policy or [], settings, together.parallel))
    except (LawError, TraceError, PolicyError) as error:
        sys.stderr.write(f"autobatch simulate: {error}\n")
        return 2
    end_s = arrivals[-1][0]
    if fault := _fault(arguments, end_s):
        sys.stderr.write(f"autobatch simulate: {fault}\n")
        return 2
    fleet = SimulatedFleet(settings, arguments.batchers, arguments.upstreams)
    sys.stdout.write(f"{len(arrivals)} requests in {end_s:.1f} s\n{HEAD}\n")
    for policy in policies:
        traffic = TimedArrivals(arrivals)
        if policy is None:
            history = run_batchers(law, traffic, fleet, end_s + ANSWERING_S)
        else:
            history = run_fixed(together, traffic, policy, end_s + ANSWERING_S)
        scored = score(history, arguments.skip_s, end_s)
        left = len(arrivals) - len(history.answered)
        sys.stdout.write(_row(AUTO if policy is None else policy.name, scored, left))
        sys.stdout.flush()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="autobatch simulate",
        description="Compute what batchers would do with a trace of requests, beside fixed policies. "
        "Settings are those of `autobatch batcher`, from flags, environment and files.",
        allow_abbrev=False,
    )
    parser.add_argument("--upstream", required=True, metavar="COST", help="as padded:fixed_ms=1.5,per_unit_us=13")
    parser.add_argument(
        "--trace", required=True, metavar="FILE", type=Path, help="JSON lines or CSV of arrival_s,length"
    )
    parser.add_argument(
        "--policy",
        action="append",
        metavar="POLICY",
        help="`auto`: these settings; `fifo 32 x 2`: 32 inputs, 2 calls; `sorted 8 x 1`; `fifo 32 x 1, 10 ms`; "
        "`all`: every fixed one; may be given several times",
    )
    parser.add_argument("--batchers", type=_count, default=1, metavar="N", help="number of batchers")
    parser.add_argument("--upstreams", type=_count, default=1, metavar="N", help="number of upstreams of that cost")
    parser.add_argument(
        "--skip-s", type=float, default=0.0, metavar="S", help="seconds at the beginning that are not scored: learning"
    )
    return parser


def _count(word: str) -> int:
    if word.isdecimal() and (number := int(word)):
        return number
    raise argparse.ArgumentTypeError("must be a whole number, and at least 1")


def _fault(arguments: argparse.Namespace, end_s: float) -> str | None:
    """What a trace of so many seconds cannot be scored for; None: nothing."""
    if not end_s:
        return f"{arguments.trace}: all requests arrive at the same time, so that there is no time to score"
    if not arguments.skip_s >= 0:
        return "--skip-s: must be at least 0"
    return f"--skip-s: the trace has {end_s:.1f} s" if arguments.skip_s >= end_s else None


def _policies(names: Sequence[str], settings: BatcherSettings, parallel: int) -> Iterator[FixedPolicy | None]:
    """The policies to show, for upstreams of so many places together; None is the batchers' own."""
    inputs, calls = settings.max_batch_size, settings.max_concurrent_batches or CALLS_FIRST
    usual = (AUTO, f"fifo 1 x {calls}", f"fifo {inputs} x {calls}", f"sorted {inputs} x {calls}")
    for name in names or usual:
        if name == AUTO:
            yield None
        elif name == ALL:
            yield from fixed_policies(parallel)
        else:
            yield policy_of(name)


def _together(law: SimulatedLaw, upstreams: int) -> SimulatedLaw:
    """Several upstreams as one: a fixed policy has one queue for all."""
    return replace(law, parallel=law.parallel * upstreams, in_flight_inputs_max=law.in_flight_inputs_max * upstreams)


def _row(name: str, scored: Score, left: int) -> str:
    return (
        f"{name:20} {scored.goodput:9.1f} {scored.p50_ms:8.1f} {scored.p99_ms:8.1f} {scored.batch:6.1f} "
        f"{scored.padding:7.0%} {left:6}\n"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
