"""The forming policies: what BATCH_POLICY may be, and where the batcher finds it.

A policy stands here by its place, not as a class: every program that reads settings checks the word, and only the batcher
imports what it names.
"""

from typing import NamedTuple


class PolicyRow(NamedTuple):
    """One policy.

    Attributes:
        place: `<module>:<class>` of an `autobatch_batcher.forming.policy.Policy`.
        meaning: For the settings' documents.
    """

    place: str
    meaning: str


POLICIES = {
    "adaptive": PolicyRow("autobatch_batcher.forming.adaptive:AdaptivePolicy", "never wait when it cannot pay"),
    "full": PolicyRow("autobatch_batcher.forming.full:FullPolicy", "wait out the time unless full"),
}
