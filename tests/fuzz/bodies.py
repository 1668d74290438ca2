"""Bodies of requests: any bytes become jobs with exactly their inputs, are forwarded unchanged, or are refused."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from autobatch_batcher.calling.calls import call_for
from autobatch_batcher.dialects.tei import Tei
from autobatch_batcher.jobs import Job
from autobatch_embedder.bodies.json_text import Fault
from autobatch_embedder.bodies.json_values import is_ids
from autobatch_proxy.dialects.error_shapes import as_openai
from autobatch_proxy.http.errors import tei_error
from autobatch_proxy.http.headers import is_json
from autobatch_proxy.requests.joining import join_rows
from autobatch_proxy.requests.plan import Allowed, Plan, PlannedJob, Rules
from autobatch_shared.contract.errors import InvalidRequest, UpstreamProtocolError
from autobatch_shared.contract.frames import JobHeader, decode_job, encode
from tests.fuzz import strict_json
from tests.unit.planning import JSON, RULES, Members, body_of, is_text, plan_of
from tests.unit.serde import Serde

#: Small enough that a short body is split in every way.
SMALL = Rules(msgspec.structs.replace(RULES.ruler, padding_max=4), request_inputs_max=12, bulk_above_inputs=6)
ALLOWED = Allowed(job_inputs_max=4, length_max=50, countable_characters_max=20, served_model="m")


def check_embed(data: bytes) -> None:
    _check("/embed", data, "inputs", "input")


def check_embed_all(data: bytes) -> None:
    _check("/embed_all", data, "inputs")


def check_embed_sparse(data: bytes) -> None:
    _check("/embed_sparse", data, "inputs")


def check_predict(data: bytes) -> None:
    _check("/predict", data, "inputs")


def check_openai(data: bytes) -> None:
    _check("/v1/embeddings", data, "input")


def check_queries(data: bytes) -> None:
    """`POST /v1/embedding`: the upstream has no such route, so nothing is forwarded unchanged."""
    _check_foreign("/v1/embedding", data, lambda body: [dict(item)["query"] for item in body])


def check_vectors(data: bytes) -> None:
    def texts(body: Members) -> Sequence[Any]:
        said = dict(body)
        return [said["text"]] if said.get("text") is not None else said["texts"]

    _check_foreign("/vectors", data, texts)


def check_content_type(data: bytes) -> None:
    """The type's bytes as aiohttp passes them: a body that is forwarded unchanged keeps exactly this type."""
    said = data.decode("utf-8", "surrogateescape")
    is_json(said)
    body = b'{"inputs":1}'
    (job,) = plan_of("/embed", body, SMALL, ALLOWED, content_type=said).jobs
    assert (job.kind, job.body, job.content_type) == ("verbatim", body, said)
    header, travelled = decode_job(encode(JobHeader("w.1", 1, 0, 0, "/embed", job.kind, None, said), job.body))
    assert (header.id, travelled) == ("w.1", job.body)


def _check(path: str, body: bytes, *fields: str) -> None:
    for allowed in (ALLOWED, Allowed(job_inputs_max=32, length_max=10**9, served_model="m")):
        plan = _planned(lambda allowed=allowed: plan_of(path, body, SMALL, allowed))  # type: ignore[misc]
        if plan is None:
            continue
        if any(job.kind == "verbatim" for job in plan.jobs):
            assert plan.jobs == [PlannedJob(1, "verbatim", body, content_type=JSON)]
            assert (plan.route, plan.form) == (path, None)
            _check_unread(plan, body, fields[0], is_predict=path == "/predict")
            continue
        said = Serde(body).fields(*fields)  # which refuses what TEI refuses
        ((field, _),) = said  # not twice, and never both
        _check_jobs(plan, _items(dict(said)[field], is_predict=path == "/predict"), allowed)


def _check_unread(plan: Plan, body: bytes, field: str, *, is_predict: bool) -> None:
    """The ids in a body that goes on as it came, if TEI reads them, are known."""
    try:
        inputs = _first_field(body, field)
    except Fault:
        return
    lists = inputs if isinstance(inputs, list) and inputs and not is_ids(inputs) else [inputs]
    if not is_predict and all(isinstance(each, str) or is_ids(each) for each in lists):
        largest = max((number for each in lists if not isinstance(each, str) for number in each), default=None)
        assert largest is None or largest == plan.largest_id


def _first_field(body: bytes, field: str) -> Any:
    """A field that is there once, or the first of an array."""
    if Serde(body).begin() == b"[":
        values = Serde(body).anything()
        return values[0] if values else None
    values = [value for _, value in Serde(body).fields(field)]
    return values[0] if len(values) == 1 else None


def _items(inputs: Any, *, is_predict: bool) -> list[Any]:
    """The inputs in the order of the forms that TEI tries."""
    if is_predict:
        if is_text(inputs):
            return [[inputs]]
        return [inputs] if all(isinstance(item, str) for item in inputs) else inputs
    if is_text(inputs) or (inputs and type(inputs[0]) is int):
        return [inputs]
    assert type(inputs) is list
    return inputs


def _check_foreign(path: str, body: bytes, texts: Callable[[Any], Sequence[Any]]) -> None:
    plan = _planned(lambda: plan_of(path, body, SMALL, ALLOWED))
    if plan is None:
        return
    try:
        said = strict_json.read(body.decode("utf-8", "replace").encode())  # a skipped value may be anything
    except (strict_json.TooDeep, ValueError):
        return
    _check_jobs(plan, list(texts(said)), ALLOWED)


def _planned(plan: Callable[[], Plan]) -> Plan | None:
    """The plan; None for a refusal, which both error formats can express."""
    try:
        return plan()
    except InvalidRequest as error:
        status, text = tei_error(error)
        assert 400 <= status < 500
        strict_json.read(as_openai(status, text))
        return None


def _check_jobs(plan: Plan, inputs: list[Any], allowed: Allowed) -> None:
    assert 0 < len(inputs) <= SMALL.request_inputs_max
    found: dict[int, Any] = {}
    for number, job in enumerate(plan.jobs):
        own = strict_json.read(job.body)
        assert job.n == len(own) <= allowed.job_inputs_max
        assert (job.body[:1], job.body[-1:]) == (b"[", b"]")
        header = JobHeader(f"w.{number}", job.n, 0, 0, plan.route, job.kind, job.options, longest=job.longest)
        travelled, body = decode_job(encode(header, job.body))
        assert (travelled, body) == (header, job.body)
        call = call_for([Job(header, body)])
        sent = dict(strict_json.read(call.post(Tei()).body))["inputs"]
        assert call.merged is not None
        assert [sent[place] for place in call.merged.places[0]] == own
        assert job.kind == "solo" or all(map(_has_text, own))
        found |= dict(zip(job.places or range(job.n), own, strict=True))
    assert [found[place] for place in range(len(inputs))] == inputs
    rows = join_rows([(job.places or range(job.n), b"[%b]" % b",".join([b"[0.5]"] * job.n)) for job in plan.jobs])
    if plan.form is not None:
        strict_json.read(body_of(plan, rows, 3))


def _has_text(item: Any) -> bool:
    return bool(item) and (isinstance(item, str) or all(item))


def check_shapes(data: bytes) -> None:
    """Answers in the formats of all routes: JSON, or the one error for an invalid answer."""
    for path, body in (
        ("/v1/embeddings", b'{"input":["a","b"]}'),
        ("/v1/embeddings", b'{"input":["a","b"],"encoding_format":"base64"}'),
        ("/v1/embedding", b'[{"query":"a"},{"query":"b"}]'),
        ("/vectors", b'{"texts":["a","b"]}'),
    ):
        plan = plan_of(path, body, RULES, ALLOWED)
        try:
            joined = join_rows([((0, 1), data)])
            shaped = body_of(plan, joined)
        except UpstreamProtocolError:
            continue
        strict_json.read(shaped)
