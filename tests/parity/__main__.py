"""`make parity TEI_URL=http://...`: every case against a running TEI, and a table of the differences.

Starts Redis, a batcher and a worker of its own in front of that TEI, unless PROXY_URL= is the URL of a proxy in front
of it. Some cases are expensive (the largest bodies), and some crash a real server (ids that no vocabulary has): do not
use one that others need. TEI_START="command" restarts it then; with `{port}` in it, and without TEI_URL, the command
also starts it first, on a free port.
"""

import argparse
import asyncio
import os
import sys
from collections import Counter

from tests.parity.answers.checking import TWIN_TOLERANCE, check, check_twin
from tests.parity.answers.comparing import TOLERANCE
from tests.parity.cases import random_cases
from tests.parity.cases.table import all_cases
from tests.parity.rig import facts_of, running
from tests.parity.server import UpstreamEndedError, given
from tests.parity.sweep import Findings, sweep

COLUMN = 60


def main() -> int:
    """Run, print, and return 1 if a case differs or the other cases could not be sent."""
    parser = argparse.ArgumentParser(prog="python -m tests.parity", description=__doc__)
    asked = os.environ.get
    parser.add_argument(
        "--tei-url", default=asked("TEI_URL"), help="the upstream; else the packaged embedder is started"
    )
    parser.add_argument("--tei-start", default=asked("TEI_START"), help="a command that starts it")
    parser.add_argument(
        "--proxy-url", default=asked("PROXY_URL"), help="a proxy that runs before it; else one is started"
    )
    parser.add_argument("--tolerance", type=float, help="largest difference of two floats")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--random", type=int, default=0, help="so many random requests, instead of the cases")
    parser.add_argument("--seed", type=int, default=0, help="of those")
    parser.add_argument("--embedder", action="store_true", help="compare the packaged embedder with it, not a proxy")
    parser.add_argument("--full", action="store_true", help="both answers to each case that differs")
    options = parser.parse_args()
    try:
        server = given(options.tei_url or None, options.tei_start or None)
        with running(server, options.proxy_url or None, is_twin=options.embedder) as rig:
            facts = facts_of(rig.upstream)
            print(f"{rig.upstream} is of kind {facts.kind}; it is compared with {rig.proxy}", flush=True)
            table = random_cases.some(options.random, options.seed) if options.random else all_cases(facts).values()
            cases = [case for case in table if options.only in case.id]
            tolerance = options.tolerance or (TWIN_TOLERANCE if options.embedder else TOLERANCE)
            verdict = check_twin if options.embedder else check
            findings = asyncio.run(sweep(rig, cases, facts.kind, tolerance, verdict))
    except UpstreamEndedError as error:
        print(error)
        return 1
    show(findings, is_full=options.full)
    if findings.stopped:
        print(f"stopped with {len(cases) - findings.count} cases unasked: {findings.stopped}")
    return 1 if findings.differing or findings.stopped else 0


def show(findings: Findings, *, is_full: bool) -> None:
    """Print the table."""
    for name, said in findings.differing.items():
        lines = said.splitlines()
        print(f"{name:<{COLUMN}} {lines[0]}")
        if is_full:
            print(*lines[1:], "", sep="\n")
    for name, answered in findings.ending.items():
        print(f"{name:<{COLUMN}} ended the upstream; the proxy: {answered}")
    groups = Counter(name.split()[0] for name in findings.differing)
    print(*(f"{path:<{COLUMN}} {number} differ" for path, number in groups.items()), sep="\n")
    print(f"{findings.count} cases, {len(findings.ending)} ended the upstream, {len(findings.differing)} differ")


if __name__ == "__main__":
    sys.exit(main())
