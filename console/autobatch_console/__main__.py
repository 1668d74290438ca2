"""`python -m autobatch_console` is `autobatch`."""

from autobatch_console.main import run

run()
