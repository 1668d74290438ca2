"""What is left of workers that died."""

import os
import subprocess
import sys
from pathlib import Path

from autobatch_proxy.dead_workers import forget_dead_workers


def test_gauges_of_the_dead_go_and_all_else_stays(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    kept = {f"gauge_livesum_{os.getpid()}.db", f"counter_{ended.pid}.db", "gauge_liveall_x.db"}
    for name in {f"gauge_livesum_{ended.pid}.db", f"gauge_liveall_{ended.pid}.db"} | kept:
        (tmp_path / name).touch()
    forget_dead_workers(tmp_path)
    assert kept == {file.name for file in tmp_path.iterdir()}
