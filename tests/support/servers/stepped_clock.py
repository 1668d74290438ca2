"""A wall clock that can be stepped while the server runs, where there is a C compiler: `libfaketime` is rarely installed."""

import shutil
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")
COMPILER = shutil.which("cc")


class SteppedClock:
    """The clock of one server, which has to be started with `variables` in its environment."""

    def __init__(self, folder: Path) -> None:
        assert COMPILER is not None
        self._file = folder / "clock-of-redis"
        self.step(0)
        library = folder / "stepped_clock.so"
        subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE)], check=True)
        self.variables = {"LD_PRELOAD": str(library), "CLOCK_STEP_FILE": str(self._file)}

    def step(self, seconds: int) -> None:
        """Set it so many seconds ahead of this machine's."""
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("=q", seconds))
