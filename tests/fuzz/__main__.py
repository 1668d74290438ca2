"""`python -m tests.fuzz`: all targets in turn under atheris, each in a process of its own. `make fuzz SECONDS=60`.

If atheris is not installed, it says so, and nothing fails: `.venv/bin/python -m pip install atheris`.
"""

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

MISSING = "fuzz: skipped, atheris is not installed (pip install atheris; it has wheels for Linux)"
INPUT_BYTES_MAX = 4096
TIMEOUT_S = 10  # of one execution
# The code that atheris watches. The rest, such as msgspec, is not ours.
PACKAGES = ["autobatch_shared", "autobatch_batcher", "autobatch_proxy"]


def main() -> None:
    """Run one target, or all of them in turn."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=float, default=60, help="for all targets together")
    parser.add_argument("--target", help="only this one, in this process")
    parser.add_argument("--corpus", help="folder in which interesting inputs are kept from run to run")
    asked = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print(MISSING)
        return
    if asked.target:
        run(asked.target, int(asked.seconds), asked.corpus)
    else:
        sys.exit(run_all(asked.seconds, asked.corpus))


def run_all(seconds: float, corpus: str | None) -> int:
    """Run all targets and print a line for each; return how many found a failure."""
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - not before it is known that atheris is there

    share_s = max(1, round(seconds / len(TARGETS)))
    failed = executions = 0
    for name in TARGETS:
        own = [f"--corpus={corpus}"] if corpus else []
        process = subprocess.run(
            [sys.executable, "-m", "tests.fuzz", f"--target={name}", f"--seconds={share_s}", *own],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        done = re.findall(r"^(?:Done |#)(\d+)", process.stderr, re.MULTILINE)
        count = int(done[-1]) if done else 0
        executions += count
        failed += process.returncode != 0
        print(f"{name:14} {count:>9,} executions  {'ok' if process.returncode == 0 else 'FOUND SOMETHING'}", flush=True)
        if process.returncode:
            said = (line for line in process.stderr.splitlines() if not line.startswith(("INFO", "#", "WARNING")))
            print(process.stdout[-4000:], *said, sep="\n")
    print(f"{len(TARGETS)} targets, {executions:,} executions, {share_s * len(TARGETS)} s, {failed} found something")
    return failed


def run(name: str, seconds: int, corpus: str | None) -> None:
    """Fuzz one target in this process until the time is up or a failure is found."""
    import atheris  # noqa: PLC0415 - perhaps not installed

    with atheris.instrument_imports(include=PACKAGES):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - to be instrumented
    target = TARGETS[name]
    with tempfile.TemporaryDirectory(prefix="ab-fuzz-") as scratch:
        seeds = Path(scratch) / "seeds"
        seeds.mkdir()
        for number, seed in enumerate(target.seeds):
            (seeds / str(number)).write_bytes(seed)
        kept = Path(corpus or scratch) / name
        kept.mkdir(parents=True, exist_ok=True)
        options = [
            f"-max_total_time={seconds}",
            f"-max_len={INPUT_BYTES_MAX}",
            f"-timeout={TIMEOUT_S}",
            f"-artifact_prefix={Path(corpus or '.') / f'found-{name}-'}",
        ]
        atheris.Setup([sys.argv[0], *options, str(kept), str(seeds)], target.check)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
