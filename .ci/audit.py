"""`audit.py PIP_AUDIT FILE...`: is there a known vulnerability in what these files pin?

pip-audit itself says "No known vulnerabilities found" and succeeds when its advisory service knows none of the packages,
as an index's mirror does. So what was not looked up is counted here.

Exits with 0: none; 1: some; 3: unknown, because the service could not be reached or did not know all packages.
"""  # noqa: INP001 - a script, not a package

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

UNKNOWN = 3
ATTEMPT_S = 600


def main(argv: Sequence[str]) -> int:
    """Audit each file; return the exit status of all."""
    program, *files = argv
    return max((audit(program, file) for file in files), key=[0, UNKNOWN, 1].index)


def audit(program: str, file: str) -> int:
    """Audit one file, and say what came of it."""
    # The files are whole and hashed: nothing is resolved nor installed.
    command = (
        program,
        "--requirement",
        file,
        "--disable-pip",
        "--no-deps",
        "--format",
        "json",
        "--progress-spinner",
        "off",
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=ATTEMPT_S)  # noqa: S603
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        sys.stdout.write(f"{file}: NOT AUDITED, the advisory service cannot be reached: {reason}\n")
        return UNKNOWN
    return told(file, packages)


def told(file: str, packages: Sequence[dict[str, Any]]) -> int:
    """Say what is known of these packages; return the exit status."""
    skipped = [each for each in packages if "skip_reason" in each]
    found = [(each, fault) for each in packages for fault in each.get("vulns", ())]
    for each, fault in found:
        fixed = ", ".join(fault.get("fix_versions", ())) or "none yet"
        sys.stdout.write(f"{file}: {each['name']} {each['version']}: {fault['id']}, fixed in {fixed}\n")
    if skipped:
        sys.stdout.write(
            f"{file}: NOT AUDITED: the advisory service knows nothing of {len(skipped)} of {len(packages)} packages, "
            f"such as {skipped[0]['name']}\n"
        )
    elif not found:
        sys.stdout.write(f"{file}: no known vulnerability in {len(packages)} packages\n")
    return 1 if found else UNKNOWN if skipped or not packages else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
