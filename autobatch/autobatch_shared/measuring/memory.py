"""Memory that the C library keeps after it was freed."""

import ctypes


def trim() -> None:
    """Give it back to the system, where the C library can: glibc keeps what lies below something that is in use."""
    trims = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trims:
        trims(0)
