"""`python -m console` is `autobatch`."""

from console.main import run

run()
