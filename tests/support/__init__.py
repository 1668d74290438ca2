"""Fakes, processes and tools that tests of several folders share."""
