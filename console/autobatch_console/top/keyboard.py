"""Keys, one at a time, while the screen is drawn."""

import asyncio
import os
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def keys_to(pressed: Callable[[str], None]) -> Iterator[None]:
    """Call `pressed` with each key, if there is a terminal; made inside the loop."""
    if not sys.stdin.isatty():
        yield
        return
    file = sys.stdin.fileno()
    before = termios.tcgetattr(file)
    loop = asyncio.get_running_loop()
    tty.setcbreak(file)  # Ctrl-C stays what it is

    def read() -> None:
        for key in os.read(file, 64).decode(errors="ignore"):
            pressed(key)

    loop.add_reader(file, read)
    try:
        yield
    finally:
        loop.remove_reader(file)
        termios.tcsetattr(file, termios.TCSADRAIN, before)
