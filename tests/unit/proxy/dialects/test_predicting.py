"""What a body of `/predict` becomes, judged by the order in which TEI tries the forms of its inputs."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.dialects.tei import Tei
from autobatch_proxy.requests.plan import Allowed, Plan, PlannedJob, Rules
from autobatch_shared.contract.errors import InvalidRequest
from autobatch_shared.contract.options import Options
from tests.unit.planning import ALLOWED, JSON, RULES, Members, body_of, is_text, plan_of, refuse

FIELDS = ("inputs", "truncate", "truncation_direction", "raw_scores")


def plan(body: bytes, *, job_inputs_max: int = 32, content_type: str | None = JSON) -> Plan:
    return plan_of("/predict", body, RULES, Allowed(job_inputs_max, ALLOWED.length_max), content_type=content_type)


def is_verbatim(planned: Plan, body: bytes) -> bool:
    if all(job.kind != "verbatim" for job in planned.jobs):
        return False
    assert [PlannedJob(1, "verbatim", body, content_type=JSON)] == planned.jobs
    assert planned.form is None
    return True


Meant = tuple[list[list[str]], bool, dict[str, Any]]


def read(body: bytes) -> Meant | None:
    """The items, whether they are one alone, and the options of a body that TEI would compute; None: it would not."""
    try:
        value = json.loads(body.decode(), object_pairs_hook=Members, parse_constant=refuse)
    except (ValueError, RecursionError):
        return None
    names = [name for name, _ in value if name in FIELDS] if type(value) is Members else []
    if "inputs" not in names or len(set(names)) < len(names):
        return None
    fields = dict(value)
    truncate = fields.get("truncate")
    direction = fields.get("truncation_direction", "right")
    raw_scores = fields.get("raw_scores", False)
    items, is_one = read_items(fields["inputs"])
    is_valid = (
        (truncate is None or isinstance(truncate, bool))
        and direction in ("left", "right", "Left", "Right")
        and isinstance(raw_scores, bool)
        and items
    )
    return (items, is_one, {"truncate": truncate, "to": direction.lower(), "raw": raw_scores}) if is_valid else None


def read_items(inputs: Any) -> tuple[list[list[str]], bool]:
    """The texts and pairs in TEI's order of forms, and whether it is one alone; none where it is no form."""
    if is_text(inputs):
        return [[inputs]], True
    if type(inputs) is not list:
        return [], False
    if len(inputs) in (1, 2) and all(map(is_text, inputs)):
        return [inputs], True
    if all(type(item) is list and len(item) in (1, 2) and all(map(is_text, item)) for item in inputs):
        return inputs, False
    return [], False


TEXTS = st.text(alphabet='ab,"[]é😀\\', max_size=4) | st.sampled_from(["inputs", '"inputs"', "raw_scores"])
ITEMS = st.lists(TEXTS, max_size=3)
INPUTS = st.one_of(
    TEXTS, ITEMS, st.lists(ITEMS, max_size=5), st.lists(TEXTS | ITEMS | st.just(1) | st.none(), max_size=3)
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "truncate": st.none() | st.booleans() | st.just(1),
        "truncation_direction": st.sampled_from(["right", "Left", "left", "LEFT", None]),
        "raw_scores": st.booleans() | st.none(),
        "x": TEXTS,
    },
)


@given(inputs=INPUTS, options=OPTIONS, is_ascii=st.booleans(), job_inputs_max=st.integers(1, 4))
def test_anything_becomes_its_items_or_itself(
    *, inputs: object, options: dict[str, object], is_ascii: bool, job_inputs_max: int
) -> None:
    body = json.dumps({**options, "inputs": inputs}, ensure_ascii=is_ascii).encode()
    planned, meant = plan(body, job_inputs_max=job_inputs_max), read(body)

    if is_verbatim(planned, body):
        # Only what could be read in two ways may go on as it came though TEI takes it.
        assert meant is None or b"\\" in json.dumps(options).encode() or body.count(b'"inputs"') > 1 or "x" in options
        return
    assert meant is not None
    items, is_one, effective = meant
    found: dict[int, object] = {}
    for job in planned.jobs:
        call = read(Tei().compose("", [job.body[1:-1]], job.options).body)
        assert call is not None
        assert call[2] == effective
        assert len(json.loads(job.body)) == job.n <= job_inputs_max
        found |= dict(zip(job.places or range(job.n), json.loads(job.body), strict=True))
    assert [found[place] for place in range(len(items))] == items
    assert (planned.form is not None) == is_one
    assert planned.route == "/predict"
    has_empty = any(not text for item in items for text in item)
    assert {job.kind for job in planned.jobs} == ({"solo"} if has_empty else {"merge"})
    assert planned.characters == sum(len(text) for item in items for text in item)


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (b'"a"', b'[["a"]]'),
        (b'["a"]', b'[["a"]]'),
        (b'["a","b"]', b'[["a","b"]]'),
        (b'[["a"]]', b'[["a"]]'),
        (b'[["a","b"]]', b'[["a","b"]]'),
        (b'[["a"],["b","c"]]', b'[["a"],["b","c"]]'),
    ],
)
def test_each_form_is_a_batch_in_the_clients_own_bytes(inputs: bytes, expected: bytes) -> None:
    """Two flat texts are one pair and not two inputs."""
    (job,) = plan(b'{"inputs":' + inputs + b"}").jobs

    assert (job.body, job.kind, job.n) == (expected, "merge", len(json.loads(expected)))


@pytest.mark.parametrize(
    "inputs",
    [b"[]", b"[[]]", b'["a","b","c"]', b'[["a","b","c"]]', b'["a",["b"]]', b"1", b"null", b"[1]", b"[[1]]", b"{}"],
)
def test_other_forms_are_the_upstreams_to_refuse(inputs: bytes) -> None:
    body = b'{"inputs":' + inputs + b"}"

    assert read(body) is None
    assert is_verbatim(plan(body), body)


def test_one_answer_is_unwrapped_and_a_batch_is_not() -> None:
    one, batch = plan(b'{"inputs":["a","b"]}'), plan(b'{"inputs":[["a","b"]]}')

    assert body_of(one, b'[[{"score":0.5,"label":"x"}]]') == b'[{"score":0.5,"label":"x"}]'
    assert batch.form is None
    assert one.jobs == batch.jobs  # so they share a call, and its one computation


def test_options_are_the_lane() -> None:
    body = b'{"raw_scores":true,"truncation_direction":"left","truncate":true,"inputs":"a"}'

    (job,) = plan(body).jobs

    assert job.options == Options(truncate=True, truncation_direction="left", raw_scores=True)


def test_more_items_than_a_request_may_have_are_refused_in_teis_words() -> None:
    rules = Rules(RULES.ruler, 2, 2048)
    with pytest.raises(InvalidRequest, match=r"^batch size 3 > maximum allowed batch size 2$"):
        plan_of("/predict", b'{"inputs":[["a"],["b"],["c"]]}', rules)
    assert len(plan_of("/predict", b'{"inputs":["a","b"]}', rules).jobs) == 1
