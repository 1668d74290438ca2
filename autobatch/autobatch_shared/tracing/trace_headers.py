"""The id of a trace, as the headers of W3C's trace context have it.

    traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01

Source: https://www.w3.org/TR/trace-context/
"""

import re
from collections.abc import Mapping

TRACEPARENT = "traceparent"

_trace_id = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}").match


def trace_id_in(headers: Mapping[str, str]) -> str:
    """Return the id of the trace that they name, 32 hex digits; empty: none."""
    found = _trace_id(headers.get(TRACEPARENT, ""))
    return found[1] if found else ""
