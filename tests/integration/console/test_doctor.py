"""`autobatch doctor` as a person calls it: a table, and nothing beside it."""

import os
import subprocess
import sys
from pathlib import Path

from autobatch_shared.settings.loading import every_name


def test_the_table_is_all_that_is_printed(tmp_path: Path, unused_port: int) -> None:
    """What modules of the servers log of a Sentinel that refuses is a line of the table, too."""
    flags = {
        "--port": str(unused_port),
        "--batcher-port": str(unused_port),
        "--redis-url": f"redis+sentinel://127.0.0.1:{unused_port}/main",
        "--inference-url": f"http://127.0.0.1:{unused_port}",
    }
    done = subprocess.run(
        [sys.executable, "-P", "-m", "autobatch_console", "doctor", *(word for flag in flags.items() for word in flag)],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name.lower() not in every_name()},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (done.returncode, done.stderr) == (1, "")
    states = [line.split(": ")[0].split() for line in done.stdout.splitlines()]
    assert states == [
        ["right", "PORT"],
        ["risky", "BATCHER_PORT"],
        ["wrong", "REDIS_URL"],
        ["loading", "INFERENCE_URL"],
    ]
