"""The headers in which TEI says what a request cost, and which of them speak for a request whose call it shared.

Source: the routes of text-embeddings-inference 1.9.
"""

from collections.abc import Mapping

#: Of a call of one job all of them are its own.
MEASURES = (
    "x-compute-type",
    "x-compute-time",
    "x-compute-characters",
    "x-compute-tokens",
    "x-total-time",
    "x-tokenization-time",
    "x-queue-time",
    "x-inference-time",
)

#: Of a call of several jobs, what is true for each of them.
SHARED = ("x-compute-type",)


def shared(measures: Mapping[str, str]) -> dict[str, str]:
    """Return those headers of a call that are true for each of its jobs."""
    return {name: measures[name] for name in SHARED if name in measures}
