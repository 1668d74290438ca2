"""What a body becomes: jobs with exactly its inputs, or its own bytes. Judged by a reader as slow and as strict as TEI's."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from autobatch_batcher.dialects.tei import Tei
from autobatch_embedder.bodies.json_text import Fault
from autobatch_proxy.requests.joining import join_rows
from autobatch_proxy.requests.lengths import make_ruler
from autobatch_proxy.requests.plan import Allowed, PlannedJob, Rules
from autobatch_shared.contract.errors import InvalidRequest
from autobatch_shared.contract.options import Options
from tests.unit.planning import body_of, plan_of
from tests.unit.serde import Serde

JSON = "application/json"
DEFAULTS: dict[str, Any] = {
    "truncate": None,
    "truncation_direction": "right",
    "prompt_name": None,
    "normalize": True,
    "dimensions": None,
}
FIELDS = ("inputs", *DEFAULTS)
U64_MAX = 2**64 - 1


RULER = make_ruler(None)


def plan(
    body: bytes,
    *,
    content_type: str | None = JSON,
    job_inputs_max: int = 32,
    request_inputs_max: int = 2048,
    padding_max: int = RULER.padding_max,
    length_max: int = 10**9,
) -> list[PlannedJob]:
    """The jobs of a request of which none is large enough to be bulk."""
    ruler = msgspec.structs.replace(RULER, padding_max=padding_max)
    rules = Rules(ruler, request_inputs_max, bulk_above_inputs=2048)
    planned = plan_of("/embed", body, rules, Allowed(job_inputs_max, length_max), content_type=content_type)
    assert planned.is_bulk is False
    return planned.jobs


def is_verbatim(jobs: list[PlannedJob], body: bytes) -> bool:
    """Whether exactly the bytes go on, alone and with their type; anything between is the test's failure."""
    if all(job.kind != "verbatim" for job in jobs):
        return False
    assert [PlannedJob(1, "verbatim", body, content_type=JSON)] == jobs
    return True


def _is_text(value: object) -> bool:
    """A string that has a UTF-8 form, so no lone surrogate."""
    return isinstance(value, str) and value.encode("utf-8", "ignore").decode() == value


def _is_ids(value: object) -> bool:
    return type(value) is list and all(type(item) is int and 0 <= item <= 2**32 - 1 for item in value)


def _is_valid(name: str, value: object) -> bool:
    match name:
        case "truncate":
            return value is None or isinstance(value, bool)
        case "truncation_direction":
            return value in ("right", "left", "Right", "Left")
        case "prompt_name":
            return value is None or _is_text(value)
        case "normalize":
            return isinstance(value, bool)
        case _:
            return value is None or (type(value) is int and 0 <= value <= U64_MAX)


def read(body: bytes) -> tuple[list[Any], dict[str, Any]] | None:
    """The inputs and effective options of a body that TEI would compute; None when it would refuse."""
    try:
        value = Serde(body).fields(*FIELDS)
    except Fault:
        return None
    names = [name for name, _ in value]
    fields = dict(value)
    options = {name: fields.get(name, default) for name, default in DEFAULTS.items()}
    if "inputs" not in names or len(set(names)) < len(names) or not all(map(_is_valid, options, options.values())):
        return None
    options["truncation_direction"] = options["truncation_direction"].lower()
    inputs = fields["inputs"]
    if _is_text(inputs) or _is_ids(inputs):
        items = [inputs]
    elif type(inputs) is list and all(_is_text(item) or _is_ids(item) for item in inputs):
        items = inputs
    else:
        return None
    return (items, options) if inputs else None


def check(body: bytes, job_inputs_max: int, request_inputs_max: int, padding_max: int) -> None:
    """Whatever becomes of a body, it is nothing that the body did not say."""
    meant = read(body)
    jobs, refusal = [], ""
    try:
        jobs = plan(body, job_inputs_max=job_inputs_max, request_inputs_max=request_inputs_max, padding_max=padding_max)
    except InvalidRequest as error:
        refusal = str(error)
    if jobs and is_verbatim(jobs, body):
        return
    if meant is None:  # it would have been refused in other words
        assert refusal.startswith("batch size ")
        return
    inputs, options = meant
    if len(inputs) > request_inputs_max:
        assert refusal == f"batch size {len(inputs)} > maximum allowed batch size {request_inputs_max}"
        return
    assert refusal == ""
    for job in jobs:
        own = [inputs[place] for place in places_of(job)]
        assert job.n == len(own) <= job_inputs_max
        assert (job.body[:1], job.body[-1:]) == (b"[", b"]")
        assert json.loads(job.body) == own
        assert read(Tei().compose("", [job.body[1:-1]], job.options).body) == (own, options)
        assert job.longest == max(map(len, own))
        is_safe = all(isinstance(item, str) and item for item in own)
        assert job.kind == "solo" or is_safe
    assert sorted(place for job in jobs for place in places_of(job)) == list(range(len(inputs)))
    assert json.loads(join_rows([(places_of(job), job.body) for job in jobs])) == inputs


def places_of(job: PlannedJob) -> Sequence[int]:
    return job.places or range(job.n)


SIZES = st.tuples(st.integers(1, 6), st.integers(1, 12), st.integers(0, 6))


@given(st.binary(), SIZES)
@example(b"", (1, 1, 0))
def test_any_bytes_become_something(body: bytes, sizes: tuple[int, int, int]) -> None:
    check(body, *sizes)


# Bodies that are JSON, or nearly: members in any order and number, keys and values in unusual spellings.
TEXTS = st.text(alphabet='ab":,{}[]\\é😀\x00\x7f', max_size=4) | st.sampled_from(
    [*FIELDS, ", ", ": ", '","', "inputs:"]
)


def written(value: object) -> st.SearchStrategy[str]:
    """The value as JSON, in some of its spellings."""
    return st.sampled_from(
        [json.dumps(value), json.dumps(value, ensure_ascii=False), json.dumps(value, indent=1, ensure_ascii=False)]
    )


def escaped(name: str) -> str:
    return f'"\\u{ord(name[0]):04x}{name[1:]}"'


IDS = st.lists(st.sampled_from([0, 1, 2**32 - 1, 2**32, -1]), max_size=3)
INPUTS = st.one_of(
    TEXTS,
    st.lists(TEXTS, min_size=1, max_size=12),
    IDS,
    st.lists(IDS, max_size=3),
    st.lists(TEXTS | IDS, max_size=4),
)
ODD_VALUES = st.sampled_from(
    ["null", "true", "1", "-0", "1.0", "1e2", "{}", "[]", "NaN", "[null]", "[1.0]", "[-0]", "01", "tru", '"\x01"']
) | st.sampled_from(
    ['"\\ud800"', '["\\udc00"]', '"right"', '"Left"', '"LEFT"', str(U64_MAX), str(2**64), '{"inputs":"b","inputs":1}']
)
KEYS = st.sampled_from([*(f'"{name}"' for name in FIELDS), '"x"', '""', '"Inputs"', *map(escaped, FIELDS)])
GOOD_VALUES = {
    "inputs": INPUTS,
    "truncate": st.none() | st.booleans(),
    "truncation_direction": st.sampled_from(["right", "left", "Right", "Left"]),
    "prompt_name": st.none() | TEXTS,
    "normalize": st.booleans(),
    "dimensions": st.none() | st.sampled_from([0, 1, 384, U64_MAX]),
}
BLANKS = st.sampled_from(["", "", "", " ", "\r\n\t"])


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A body that looks like a request for vectors."""
    names = draw(st.permutations(["inputs", *draw(st.lists(st.sampled_from([*FIELDS, "x"]), max_size=3))]))
    members = []
    for name in names:
        key, value = f'"{name}"', draw(ODD_VALUES)
        if name in GOOD_VALUES and draw(st.integers(0, 5)):
            value = draw(GOOD_VALUES[name].flatmap(written))
        if not draw(st.integers(0, 9)):
            key = draw(KEYS)
        members.append(f"{draw(BLANKS)}{key}{draw(BLANKS)}:{draw(BLANKS)}{value}{draw(BLANKS)}")
    return f"{draw(BLANKS)}{{{','.join(members)}}}{draw(BLANKS)}".encode()


@settings(max_examples=300)
@given(bodies(), SIZES)
@example(b'{"inputs":"b","inputs":":"}', (32, 32, 0))
@example(b'{"inputs":"a","dimensions":18446744073709551616}', (32, 32, 0))
def test_anything_like_a_request_becomes_its_inputs_or_itself(body: bytes, sizes: tuple[int, int, int]) -> None:
    check(body, *sizes)


@settings(max_examples=200)
@given(bodies(), SIZES, st.data())
def test_a_damaged_request_becomes_its_inputs_or_itself(
    body: bytes, sizes: tuple[int, int, int], data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(start + 3, len(body))))
    check(body[:start] + data.draw(st.binary(max_size=2)) + body[end:], *sizes)


PLAIN_INPUTS = st.one_of(
    st.text(min_size=1, max_size=8),
    st.lists(st.text(max_size=8), min_size=1, max_size=12),
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4),
    st.lists(st.lists(st.integers(0, 2**32 - 1), max_size=3), min_size=1, max_size=8),
    # No minus: among ids it may be `-0`, which is no id.
    st.lists(
        st.text(alphabet='aé",', max_size=4) | st.lists(st.integers(0, 2**32 - 1), max_size=3), min_size=1, max_size=8
    ),
)
# Without the texts that need an escape: one in an option may be anything, and goes as it came.
PLAIN_OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "truncate": st.none() | st.booleans(),
        "truncation_direction": st.sampled_from(["right", "left", "Right", "Left"]),
        "prompt_name": st.none() | st.text(alphabet="abé ", max_size=5),
        "normalize": st.booleans(),
        "dimensions": st.none() | st.integers(1, 2**31),
        "model": st.just("a name that is nobody's field"),
    },
)


@given(PLAIN_INPUTS, PLAIN_OPTIONS, st.sampled_from([None, 2]), st.integers(1, 12))
def test_a_plain_request_is_always_understood(
    inputs: object, options: dict[str, object], indent: int | None, job_inputs_max: int
) -> None:
    body = json.dumps({"inputs": inputs, **options}, indent=indent, ensure_ascii=False).encode()

    jobs = plan(body, job_inputs_max=job_inputs_max)

    assert not is_verbatim(jobs, body)
    check(body, job_inputs_max, 2048, RULER.padding_max)
    n = sum(job.n for job in jobs)
    assert len(jobs) == -(-n // job_inputs_max)  # no more jobs than needed


@given(PLAIN_OPTIONS, PLAIN_OPTIONS, st.randoms(use_true_random=False))
def test_lanes_are_equal_when_effective_options_are(
    one: dict[str, object], other: dict[str, object], random: Any
) -> None:
    """However they are written: in any order, with defaults left out or spelt out."""

    def lane(options: dict[str, object]) -> tuple[Options | None, object]:
        members = [("inputs", "a"), *options.items()]
        random.shuffle(members)
        body = json.dumps(dict(members), ensure_ascii=False).encode()
        meant = read(body)
        assert meant
        (job,) = plan(body)
        assume(job.kind == "merge")
        return job.options, meant[1]

    (lane_of_one, meant_by_one), (lane_of_other, meant_by_other) = lane(one), lane(other)
    assert (lane_of_one == lane_of_other) == (meant_by_one == meant_by_other)


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (b'"a"', PlannedJob(1, "merge", b'["a"]', longest=1)),
        (b'["a"]', PlannedJob(1, "merge", b'["a"]', longest=1)),
        (b'["a","bcd"]', PlannedJob(2, "merge", b'["a","bcd"]', longest=3)),
        (b'[ "a" ,\n"b" ]', PlannedJob(2, "merge", b'[ "a" ,\n"b" ]', longest=1)),
        (b'"\\u00e9\\n\\ud83d\\ude00"', PlannedJob(1, "merge", b'["\\u00e9\\n\\ud83d\\ude00"]', longest=3)),
        (b"[1,4294967295]", PlannedJob(1, "solo", b"[[1,4294967295]]", longest=2)),
        (b"[[1,2],[3]]", PlannedJob(2, "solo", b"[[1,2],[3]]", longest=2)),
        (b"[[1]]", PlannedJob(1, "solo", b"[[1]]", longest=1)),
        (b'["a",[1]]', PlannedJob(2, "solo", b'["a",[1]]', longest=1)),
        (b'["a",""]', PlannedJob(2, "solo", b'["a",""]', longest=1)),
        (b"[[1],[]]", PlannedJob(2, "solo", b"[[1],[]]", longest=1)),
    ],
)
def test_inputs_travel_as_they_were_written(inputs: bytes, expected: PlannedJob) -> None:
    """Only texts share a call: ids of a foreign vocabulary, and empty inputs, can make it fail."""
    assert plan(b'{"inputs":' + inputs + b"}") == [expected]


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (b'"truncate":null', None),
        (b'"truncate":true', Options(truncate=True)),
        (b'"truncate":false', Options(truncate=False)),
        (b'"truncation_direction":"right"', None),
        (b'"truncation_direction":"Right"', None),
        (b'"truncation_direction":"left"', Options(truncation_direction="left")),
        (b'"truncation_direction":"Left"', Options(truncation_direction="left")),
        (b'"prompt_name":null', None),
        (b'"prompt_name":""', Options(prompt_name="")),
        (b'"prompt_name":"query"', Options(prompt_name="query")),
        (b'"normalize":true', None),
        (b'"normalize":false', Options(normalize=False)),
        (b'"dimensions":null', None),
        (b'"dimensions":12', Options(dimensions=12)),
        (b'"model":"m","user":null,"x":[1e999]', None),
        (b'"x":1,"x":2', None),
    ],
)
def test_an_option_is_in_the_lane_unless_it_is_the_default(option: bytes, expected: Options | None) -> None:
    body = b'{"inputs":"a",' + option + b"}"

    assert plan(body) == [PlannedJob(1, "merge", b'["a"]', expected, longest=1)]


REFUSED_BY_TEI = [
    # no JSON, or not in UTF-8
    b"",
    b" ",
    b"{",
    b'{"inputs":"a"',
    b'{"inputs":"a",}',
    b"{'inputs':'a'}",
    b'{"inputs":"a" "x":1}',
    b'{"inputs":NaN}',
    b'{"inputs":"a","x":NaN}',
    b'{"inputs":"a","x":-Infinity}',
    b'{"inputs":"a","x":01}',
    b'{"inputs":"a","x":"\x01"}',
    b'{"inputs":"a\nb"}',
    b'{"inputs":"\\x"}',
    b'{"inputs":"\xff"}',
    b'{"inputs":"\xed\xa0\x80"}',
    b'{"inputs":"a","prompt_name":"\xff"}',
    b'{"inputs":"a","\xff":1}',
    b'\xef\xbb\xbf{"inputs":"a"}',
    '{"inputs":"a"}'.encode("utf-16"),
    '{"inputs":"a"}'.encode("utf-32-le"),
    b'{"inputs":"\\ud800"}',
    b'{"inputs":["a","\\udc00"]}',
    b'{"inputs":"a","prompt_name":"\\ud800"}',
    b'{"inputs":' + b"[" * 100_000,
    b'{"inputs":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    # of another shape
    b"null",
    b'"a"',
    b"[]",
    b"{}",
    b'["a"]',
    b'{"inputs":null}',
    b'{"inputs":1}',
    b'{"inputs":{}}',
    b'{"inputs":true}',
    b'{"inputs":[null]}',
    b'{"inputs":[true]}',
    b'{"inputs":[1.0]}',
    b'{"inputs":[1.5]}',
    b'{"inputs":[-1]}',
    b'{"inputs":[-0]}',
    b'{"inputs":[4294967296]}',
    b'{"inputs":["a",1]}',
    b'{"inputs":[1,"a"]}',
    b'{"inputs":[[1],2]}',
    b'{"inputs":[["a"]]}',
    b'{"inputs":[["a","b"]]}',
    b'{"inputs":[[[1]]]}',
    b'{"inputs":[{}]}',
    # an option of the wrong type, or null where it may not be
    b'{"inputs":"a","truncate":0}',
    b'{"inputs":"a","truncate":"true"}',
    b'{"inputs":"a","truncation_direction":null}',
    b'{"inputs":"a","truncation_direction":"LEFT"}',
    b'{"inputs":"a","truncation_direction":1}',
    b'{"inputs":"a","prompt_name":1}',
    b'{"inputs":"a","prompt_name":[]}',
    b'{"inputs":"a","normalize":null}',
    b'{"inputs":"a","normalize":1}',
    b'{"inputs":"a","normalize":"yes"}',
    b'{"inputs":"a","dimensions":-1}',
    b'{"inputs":"a","dimensions":-0}',
    b'{"inputs":"a","dimensions":1.0}',
    b'{"inputs":"a","dimensions":1e2}',
    b'{"inputs":"a","dimensions":"1"}',
    b'{"inputs":"a","dimensions":true}',
    b'{"inputs":"a","dimensions":18446744073709551616}',
    b'{"inputs":"a","dimensions":' + b"9" * 5000 + b"}",
    # a field that is there twice
    b'{"inputs":"a","inputs":"a"}',
    b'{"inputs":"a","inputs":["b"]}',
    b'{"inputs":"b","inputs":":"}',
    b'{"inputs":",","inputs":","}',
    b'{"x":"y","inputs":"b","inputs":","}',
    b'{"prompt_name":"a","prompt_name":"b","inputs":","}',
    b'{"inputs":"a","in\\u0070uts":"b"}',
    b'{"in\\u0070uts":"b","inputs":"a"}',
    b'{"inputs":"a","normalize":true,"normalize":true}',
    b'{"normalize":true,"inputs":"normalize","normalize":false}',
    b'{"inputs":"a","truncate":null,"x":1,"truncate":null}',
    # empty
    b'{"inputs":""}',
    b'{"inputs":[]}',
    b'{"inputs":[ ]}',
]


@pytest.mark.parametrize("body", REFUSED_BY_TEI, ids=lambda body: repr(body[:60]))
def test_what_tei_refuses_goes_as_it_came(body: bytes) -> None:
    """So that its own error comes back, and none of its neighbours gets one."""
    assert read(body) is None
    assert is_verbatim(plan(body), body)


@pytest.mark.parametrize(
    "body",
    [
        b'["a",null,"right",null,true,null]',
        b'["a",null,"right",null,true,null] junk',
        b'{"inputs":"a","truncation_direction":{"Left":null}}',
    ],
    ids=repr,
)
def test_what_tei_takes_but_is_not_plain_goes_as_it_came(body: bytes) -> None:
    assert is_verbatim(plan(body), body)


NOT_LOOKED_AT = [
    b'{"inputs":"a"} junk',
    b'{"inputs":"a"}}',
    b'{"inputs":"a"}{"inputs":"b"}',
    b'{"inputs":"a"}\x00',
    b'{"inputs":"a"}\xff',
    b'{"inputs":"a","x":"\\ud800"}',
    b'{"inputs":"a","x":["\\udc00",{"\xff":"\xff"}]} x',
    b'{"x":"\xff","inputs":"a"}',
    b'{"inputs":"a","x":' + b"[" * 3_000 + b"]" * 3_000 + b"}",
]


@pytest.mark.parametrize("body", NOT_LOOKED_AT, ids=lambda body: repr(body[:60]))
def test_what_tei_does_not_look_at_changes_nothing(body: bytes) -> None:
    """A client that adds it would otherwise choose what the upstream gets to see."""
    assert plan(body) == [PlannedJob(1, "merge", b'["a"]', longest=1)]


@pytest.mark.parametrize("end", [b" x", b"}", b"\x00", b',"x":"\xff"}'])
def test_options_before_what_is_ignored_count(end: bytes) -> None:
    body = b'{"normalize":false,"inputs":["a","b"],"x":1'
    assert plan(body + (end if end[:1] == b"," else b"}" + end)) == plan(body + b"}")


def test_a_body_that_would_take_too_long_to_read_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="in one another"):
        plan(b'{"inputs":"a","x":' + b"[" * 900_000 + b"]" * 900_000 + b"}")


def test_a_key_inside_a_text_is_no_repeated_key() -> None:
    """Or every text about this API would go alone."""
    for text in ("inputs", '"inputs"', '{"inputs":"a","normalize":1}', "\\", '","', ":"):
        raw = json.dumps(text).encode()
        for body in (b'{"inputs":%b}' % raw, b'{"normalize":false,"inputs":%b}' % raw, b'{"inputs":[%b]}' % raw):
            (job,) = plan(body)
            assert (job.kind, json.loads(job.body)) == ("merge", [text])


def test_many_inputs_become_jobs_of_at_most_the_batch_size() -> None:
    jobs = plan(b'{"inputs":["a", "b","c" ,"d","e"],"normalize":false}', job_inputs_max=2)

    assert jobs == [
        PlannedJob(2, "merge", b'["a","b"]', Options(normalize=False), longest=1, places=[0, 1]),
        PlannedJob(2, "merge", b'["c","d"]', Options(normalize=False), longest=1, places=[2, 3]),
        PlannedJob(1, "merge", b'["e"]', Options(normalize=False), longest=1, places=[4]),
    ]


def test_as_many_inputs_as_a_job_takes_are_one_job() -> None:
    assert plan(b'{"inputs":["a","b"]}', job_inputs_max=2) == [PlannedJob(2, "merge", b'["a","b"]', longest=1)]


def test_one_token_sequence_is_one_input_however_long() -> None:
    jobs = plan(b'{"inputs":[1,2,3]}', job_inputs_max=1, request_inputs_max=1)

    assert jobs == [PlannedJob(1, "solo", b"[[1,2,3]]", longest=3)]


@pytest.mark.parametrize("inputs", [b'["a","b","c"]', b"[[1],[2],[3]]", b'["","",""]'])
def test_more_inputs_than_a_request_may_have_are_refused_in_teis_words(inputs: bytes) -> None:
    body = b'{"inputs":' + inputs + b"}"

    with pytest.raises(InvalidRequest, match=r"^batch size 3 > maximum allowed batch size 2$"):
        plan(body, request_inputs_max=2)
    assert sum(job.n for job in plan(body, request_inputs_max=3)) == 3


def test_a_request_that_is_not_plain_is_not_counted() -> None:
    """It is the upstream's to refuse."""
    body = b'{"inputs":["a","b",1]}'

    assert is_verbatim(plan(body, request_inputs_max=1), body)


# `/embed_all`, `/embed_sparse`, and bodies that call their inputs `input`.

TOKEN_ROUTES = ("/embed_all", "/embed_sparse")
LEFT = Options(truncation_direction="left")


@given(bodies(), st.sampled_from(TOKEN_ROUTES))
def test_token_routes_are_read_as_embed_but_for_its_own_options(body: bytes, path: str) -> None:
    """They skip `normalize` and `dimensions`, as any other key that they do not know."""
    planned = plan_of(path, body)

    assert planned.form is None
    assert planned.route == path
    if is_verbatim(planned.jobs, body):
        return
    value = dict(Serde(body).fields(*FIELDS))
    kept = {
        name: value[name] for name in ("inputs", "truncate", "truncation_direction", "prompt_name") if name in value
    }
    assert planned.jobs == plan(json.dumps(kept, ensure_ascii=False).encode()) or b" " in body or b"\\" in body
    options = [job.options or Options() for job in planned.jobs]
    assert all(each.normalize and each.dimensions is None for each in options)


@pytest.mark.parametrize("path", TOKEN_ROUTES)
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"inputs":"a"}', PlannedJob(1, "merge", b'["a"]', longest=1)),
        (b'{"inputs":["a","b"],"normalize":null,"dimensions":"x"}', PlannedJob(2, "merge", b'["a","b"]', longest=1)),
        (b'{"inputs":[1,2],"truncate":true}', PlannedJob(1, "solo", b"[[1,2]]", Options(truncate=True), longest=2)),
        (b'{"inputs":"a","prompt_name":"q"}', PlannedJob(1, "merge", b'["a"]', Options(prompt_name="q"), longest=1)),
        (b'{"inputs":"a","truncation_direction":"left"}', PlannedJob(1, "merge", b'["a"]', LEFT, longest=1)),
    ],
)
def test_token_routes_keep_their_options(path: str, body: bytes, expected: PlannedJob) -> None:
    planned = plan_of(path, body)

    assert (planned.route, planned.jobs) == (path, [expected])


@pytest.mark.parametrize("path", TOKEN_ROUTES)
@pytest.mark.parametrize(
    "body",
    [b"{", b'{"input":"a"}', b'{"inputs":[]}', b'{"inputs":["a",1]}', b'{"inputs":"a","truncate":1}', b'{"inputs":""}'],
)
def test_token_routes_leave_the_rest_to_the_upstream(path: str, body: bytes) -> None:
    assert plan_of(path, body).jobs == [PlannedJob(1, "verbatim", body, content_type=JSON)]


@pytest.mark.parametrize("text", ["a", "inputs", '"inputs"', "input", '"input"', "{", "é😀", "\\"])
@pytest.mark.parametrize("is_ascii", [True, False])
def test_inputs_may_be_called_input(text: str, *, is_ascii: bool) -> None:
    """Whatever the text is, and with all options of `/embed`."""
    one = json.dumps({"input": text, "normalize": False}, ensure_ascii=is_ascii).encode()
    several = json.dumps({"input": [text, "b"]}, ensure_ascii=is_ascii).encode()
    planned, of_several = (plan_of("/embed", body) for body in (one, several))

    assert [(json.loads(p.body), p.kind, p.options) for p in planned.jobs] == [
        ([text], "merge", Options(normalize=False))
    ]
    assert [json.loads(job.body) for job in of_several.jobs] == [[text, "b"]]
    assert body_of(planned, b"[[1.50]]") == b'{"embedding":[1.50]}'
    assert body_of(of_several, b"[[1.50],[2]]") == b'{"embeddings":[[1.50],[2]]}'


def test_a_list_of_one_is_answered_with_a_list() -> None:
    planned = plan_of("/embed", b'{"input":["a"]}')
    assert body_of(planned, b"[[1]]") == b'{"embeddings":[[1]]}'


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs":"a","input":"b"}',
        b'{"input":"b","inputs":"a"}',
        b'{"input":1,"inputs":"a"}',
        b'{"input":"b","in\\u0070uts":"a"}',
    ],
)
def test_inputs_win_over_input(body: bytes) -> None:
    planned = plan_of("/embed", body)

    assert (planned.jobs, planned.form) == ([PlannedJob(1, "merge", b'["a"]', longest=1)], None)


@pytest.mark.parametrize(
    "body",
    [
        b'{"input":"b","inputs":1}',
        b'{"input":"b","inputs":""}',
        b'{"input":""}',
        b'{"input":[]}',
        b'{"input":[1,2]}',
        b'{"input":[[1],"a"]}',
        b'{"input":1}',
        b'{"input":null}',
        b'{"input":"a","input":"b"}',
        b'{"input":"a","in\\u0070uts":1}',
        b'{"input":"a","normalize":1}',
    ],
)
def test_an_input_that_is_none_is_the_upstreams_to_refuse(body: bytes) -> None:
    assert is_verbatim(plan(body), body)
