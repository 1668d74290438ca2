"""`make parity TEI_URL=http://...`: every case against a TEI that runs, and what differs as a table.

Starts Redis, a batcher and a worker of its own before that TEI, unless the URL of a proxy before it is given. Some
cases are hard on a server (the largest bodies, ids that no vocabulary has): not for one that others are using.
"""

import argparse
import asyncio
import sys
from collections import Counter

import aiohttp

from tests.parity.asking import open_client
from tests.parity.cases_all import all_cases
from tests.parity.checking import check
from tests.parity.comparing import TOLERANCE
from tests.parity.rig import Rig, facts_of, running

COLUMN = 60


def main() -> int:
    """Run, print, and return 1 when a case differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.parity", description=__doc__)
    parser.add_argument("--tei-url", help="the upstream; without it the packaged embedder is started")
    parser.add_argument("--proxy-url", help="a proxy that runs before it; without it one is started")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="largest difference of two floats")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--full", action="store_true", help="both answers to each case that differs")
    options = parser.parse_args()
    with running(options.tei_url, options.proxy_url) as rig:
        differing, count = asyncio.run(compare_all(rig, options.tolerance, options.only))
    for name, said in differing.items():
        lines = said.splitlines()
        print(f"{name:<{COLUMN}} {lines[0]}")
        if options.full:
            print(*lines[1:], "", sep="\n")
    groups = Counter(name.split()[0] for name in differing)
    print(*(f"{path:<{COLUMN}} {number} differ" for path, number in groups.items()), sep="\n")
    print(f"{count} cases, {len(differing)} differ")
    return 1 if differing else 0


async def compare_all(rig: Rig, tolerance: float, only: str) -> tuple[dict[str, str], int]:
    """Return what is wrong with each case that differs, and how many cases there were."""
    facts = facts_of(rig.upstream)
    cases = [case for name, case in all_cases(facts).items() if only in name]
    print(f"{rig.upstream} is of kind {facts.kind}; the proxy before it is {rig.proxy}")
    differing: dict[str, str] = {}
    async with open_client() as http:
        for case in cases:
            try:
                said = await check(http, rig, case, tolerance)
            except (aiohttp.ClientError, TimeoutError) as error:
                said = f"no answer: {error!r}"
            if said:
                differing[case.id] = said
    return differing, len(cases)


if __name__ == "__main__":
    sys.exit(main())
