"""Names of keys: one slot, no two the same, all of them documented."""

import re

from hypothesis import given
from hypothesis import strategies as st

from autobatch_shared.contract import keys
from autobatch_shared.contract.keys import Keys

PLAIN = (
    "jobs",
    "bulk",
    "retry",
    "suspects",
    "bell",
    "waiting",
    "waiting_bulk",
    "gone",
    "leases",
    "batchers",
    "model",
    "model_counted",
    "models",
    "trial",
    "dead",
    "epoch",
    "preflight",
    "cache_index",
    "cache_bytes",
    "activities",
)
OF_ONE = ("claimed", "attempts", "reply", "inbox", "pace", "learnt", "cached", "activity")
WORDS = st.from_regex(r"[A-Za-z0-9_.-]{1,12}", fullmatch=True)


def every_key(namespace: str, owner: str) -> list[str]:
    named = Keys(namespace)
    return [*(getattr(named, name) for name in PLAIN), *(getattr(named, name)(owner) for name in OF_ONE)]


@given(WORDS, WORDS)
def test_all_keys_are_in_one_slot_of_a_cluster(namespace: str, owner: str) -> None:
    """A cluster hashes what is between the first brace and the next closing one."""
    tags = {key[key.index("{") + 1 : key.index("}")] for key in every_key(namespace, owner)}

    assert tags == {namespace}


@given(st.lists(st.tuples(WORDS, WORDS), unique=True, min_size=1, max_size=5))
def test_no_two_names_are_the_same_key(owners: list[tuple[str, str]]) -> None:
    """Not of two owners, nor of two namespaces."""
    made = {key for namespace, owner in owners for key in every_key(namespace, owner)}

    namespaces = {namespace for namespace, _ in owners}
    assert len(made) == len(namespaces) * len(PLAIN) + len(owners) * len(OF_ONE)


def test_keys_are_the_documented_ones() -> None:
    named = Keys("autobatch")

    assert named.jobs == "{autobatch}:jobs"
    assert named.claimed("b1") == "{autobatch}:claimed:b1"
    assert named.reply("w1.7") == "{autobatch}:reply:w1.7"
    assert named.of_version(3) == "{autobatch}:jobs:v3"
    assert named.inbox("w1") == "{autobatch}:inbox:w1"
    assert named.cached("0f") == "{autobatch}:cache:0f"


@given(WORDS, WORDS)
def test_two_models_share_no_key_but_those_of_the_fleet(namespace: str, model: str) -> None:
    own, unnamed, other = Keys(namespace, model), Keys(namespace), Keys(namespace, f"{model}/x")
    shared = {unnamed.models, unnamed.activities, unnamed.activity("")}
    made = [set(vars(each).values()) for each in (own, unnamed, other)]

    assert shared == made[0] & made[1] == made[0] & made[2]
    made = [each - shared for each in made]
    assert len(made[0] | made[1] | made[2]) == sum(map(len, made))
    assert [each.is_unnamed for each in (own, unnamed, other)] == [False, True, False]
    assert all(value.startswith(f"{{{namespace}}}:") for value in made[0])


def test_the_table_has_every_key() -> None:
    """The mark of one departed client is a `gone` with its job behind it, and a version follows `jobs:v`."""
    documented = set(re.findall(r"^\| `([a-z:]+)", keys.__doc__ or "", re.MULTILINE))
    named = {key.partition(":")[2] for key in every_key("n", "")}

    assert named | {"gone:", "jobs:v"} == documented
