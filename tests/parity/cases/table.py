"""The table of all cases."""

from collections import Counter

from tests.parity.cases import bodies, http, inputs, openai, options, scores, tokens, vertex
from tests.parity.cases.case import OPENAI_PATHS, Case, Facts


def all_cases(facts: Facts) -> dict[str, Case]:
    """Return every case by its id."""
    cases = [
        *inputs.cases(facts),
        *options.cases(facts),
        *bodies.cases(facts, (*http.POSTS, "/", "/invocations", OPENAI_PATHS[1])),
        *scores.cases(facts),
        *tokens.cases(facts),
        *vertex.cases(facts),
        *openai.cases(facts),
        *http.cases(facts),
    ]
    twice = [name for name, count in Counter(case.id for case in cases).items() if count > 1]
    assert twice == [], twice
    return {case.id: case for case in cases}
