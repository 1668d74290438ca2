"""The table of all cases."""

from collections import Counter

from tests.parity import (
    cases_bodies,
    cases_http,
    cases_inputs,
    cases_openai,
    cases_options,
    cases_scores,
    cases_tokens,
    cases_vertex,
)
from tests.parity.cases import OPENAI_PATHS, Case, Facts


def all_cases(facts: Facts) -> dict[str, Case]:
    """Return every case by its id."""
    cases = [
        *cases_inputs.cases(facts),
        *cases_options.cases(facts),
        *cases_bodies.cases(facts, (*cases_http.POSTS, "/", "/invocations", OPENAI_PATHS[1])),
        *cases_scores.cases(facts),
        *cases_tokens.cases(facts),
        *cases_vertex.cases(facts),
        *cases_openai.cases(facts),
        *cases_http.cases(facts),
    ]
    twice = [name for name, count in Counter(case.id for case in cases).items() if count > 1]
    assert twice == [], twice
    return {case.id: case for case in cases}
