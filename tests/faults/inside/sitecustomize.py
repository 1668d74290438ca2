"""Python runs this at the start of a process that has its folder on the path."""

from tests.faults.inside import clock_ahead, memory_in_use

clock_ahead.install()
memory_in_use.install()
