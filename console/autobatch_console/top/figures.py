"""Numbers as people read them. Pure."""

NONE = "-"


def count(value: float) -> str:
    """Return a number of things, or of things a second."""
    if value >= 10_000:
        return f"{value / 1000:.0f}k" if value >= 100_000 else f"{value / 1000:.1f}k"
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"


def milliseconds(value: float | None) -> str:
    """Return a duration; a dash for none."""
    if value is None:
        return NONE
    if value >= 1000:
        return f"{value / 1000:.1f} s"
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"


def clock(off_ms: int) -> str:
    """Return how far a clock is ahead of Redis's, or behind it."""
    return f"{off_ms / 1000:+,.0f} s"


def share(value: float | None) -> str:
    """Return a share in percent; a dash for none."""
    return NONE if value is None else f"{value:.0%}"


def ago(since_ms: int, now_ms: int) -> str:
    """Return for how long something has been as it is; empty where that is not known."""
    if not since_ms:
        return ""
    seconds = max(0, now_ms - since_ms) // 1000
    for limit, unit_s, unit in ((120, 1, "s"), (7200, 60, "m"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds // unit_s} {unit}"
    return f"{seconds // 86_400} d"
