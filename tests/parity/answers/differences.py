"""Where the proxy answers differently from its upstream on purpose: each with its reason and its check.

Headers that are not compared, and those that the proxy adds, are in `comparing`.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.parity.answers.asking import SeenAnswer
from tests.parity.answers.comparing import OF_A_CALL, compare, compare_headers
from tests.parity.answers.joining import joined
from tests.parity.cases.case import OPENAI_PATHS, Case, Json

BODY_HEADERS = ("content-type", "content-length")
OPENAI_LIST_MAX = 2048
_ID = re.compile(rb'\{"id":"embd-[\w-]+",')
DifferenceCheck = Callable[[SeenAnswer, SeenAnswer], list[str]]


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference.

    Attributes:
        reason: Why it is there.
        check: Returns what is wrong with a pair of answers, the upstream's and the proxy's.
    """

    reason: str
    check: DifferenceCheck


def faults_of(
    case: Case, upstream: SeenAnswer, proxy: SeenAnswer, pieces: list[SeenAnswer], tolerance: float
) -> list[str]:
    """Return what is wrong with the proxy's answer to a case."""
    expected = joined(pieces, case.join) if pieces else upstream
    if is_openai(case) and case.differs != "openai id":
        proxy = without_id(proxy)
    is_openai_error = is_openai(case) and expected.status >= 400 and case.method != "HEAD"
    if is_openai_error and case.differs in {None, "several calls"}:
        return TABLE["openai error"].check(expected, proxy)
    if case.differs is not None:
        return TABLE[case.differs].check(expected, proxy)
    unlike = BODY_HEADERS if is_openai(case) and expected.status >= 400 else ()
    return compare(expected, proxy, tolerance, unlike, OF_A_CALL if pieces else ())


def is_openai(case: Case) -> bool:
    """Whether a case is for one of OpenAI's routes, or for a path below `/v1/`."""
    path = case.path.partition("?")[0]
    return path in OPENAI_PATHS or path.startswith("/v1/")


def without_id(proxy: SeenAnswer) -> SeenAnswer:
    """The answer without the `id` at its beginning, if it has one: requests passed through verbatim get none."""
    found = _ID.match(proxy.body)
    if found is None or proxy.header("content-length") != str(len(proxy.body)):
        return proxy
    body = b"{" + proxy.body[found.end() :]
    return SeenAnswer(proxy.status, proxy.headers, body).with_headers(content_length=str(len(body)))


def _has_id(upstream: SeenAnswer, proxy: SeenAnswer) -> list[str]:
    if _ID.match(proxy.body) is None:
        return [f"no id: {proxy.body[:80]!r}"]
    return compare(upstream, without_id(proxy))


def _openai_error(upstream: SeenAnswer, proxy: SeenAnswer) -> list[str]:
    """Expect TEI's flat fields unchanged, and OpenAI's wrapper with the same message; plain text becomes the message.

    The wrapper's `code` is a word or null, as OpenAI's is; TEI's is the status.
    """
    faults = _status_and_type(proxy, upstream.status)
    try:
        body = json.loads(proxy.body)
        flat = {name: body[name] for name in ("message", "code", "type")}
        wrapped = body["error"]
        same = [(wrapped["message"], flat["message"])]
        code = wrapped["code"]
        types_are_texts = all(isinstance(value, str) and value for value in (wrapped["type"], flat["type"]))
        param = wrapped["param"]
    except (ValueError, KeyError, TypeError):
        return [*faults, f"no error of OpenAI's shape: {proxy.body!r}"]
    if upstream.header("content-type") == "application/json":
        expected = json.loads(upstream.body)
    else:
        message = upstream.body.decode() or flat["message"]
        expected = {"message": message, "code": upstream.status, "type": flat["type"]}
    faults += [f"{name} {flat[name]!r}, not {expected[name]!r}" for name in expected if flat[name] != expected[name]]
    faults += [f"wrapper has {got!r}, not {want!r}" for got, want in same if got != want]
    words_or_null = all(value is None or isinstance(value, str) for value in (param, code))
    if not (types_are_texts and flat["message"] and words_or_null):
        faults.append(f"an empty or wrong field: {body}")
    return faults + compare_headers(upstream, proxy, BODY_HEADERS)


def _unknown_ids(upstream: SeenAnswer, proxy: SeenAnswer) -> list[str]:
    said = _json(proxy).get("error")
    if isinstance(said, str):  # TEI's shape
        named = [] if "`inputs` has token ids that are not of this model's" in said else [f"body {proxy.body!r}"]
        return named + _status_and_type(proxy, 400)
    error = SeenAnswer(400, upstream.headers, b"").with_headers(content_type="application/json")
    plain = SeenAnswer(400, tuple((name, value) for name, value in error.headers if not name.startswith("x-")), b"")
    faults = _openai_error(plain.with_headers(content_type="text/plain; charset=utf-8"), proxy)
    return faults if b"check_embedding_ctx_length=False" in proxy.body else [*faults, "the cause is not named"]


def _null_as_absent(upstream: SeenAnswer, proxy: SeenAnswer) -> list[str]:
    faults = [] if upstream.status in {400, 422} else [f"upstream: {upstream.status}"]
    faults += _status_and_type(proxy, 200)
    return faults if _json(proxy).get("object") == "list" else [*faults, f"no list: {proxy.body[:80]!r}"]


def _own_limit(upstream: SeenAnswer, proxy: SeenAnswer) -> list[str]:
    count = OPENAI_LIST_MAX + 1
    faults = [] if upstream.status == 422 else [f"upstream: {upstream.status}"]
    message = _json(proxy).get("error")
    text = message.get("message") if isinstance(message, dict) else message
    if text != f"batch size {count} > maximum allowed batch size {OPENAI_LIST_MAX}":
        faults.append(f"body {proxy.body!r}")
    return faults + _status_and_type(proxy, 422)


def _several_calls(upstream: SeenAnswer, proxy: SeenAnswer) -> list[str]:
    return compare(upstream, proxy, lacking=OF_A_CALL)


def _page(upstream: SeenAnswer, proxy: SeenAnswer) -> list[str]:
    if upstream.status == 404:  # built without its pages
        return [] if proxy.status < 400 or proxy.status == 405 else [f"status {proxy.status}"]
    location = f"location {proxy.header('location')}" if upstream.header("location") != proxy.header("location") else ""
    kinds = [str(answer.header("content-type")).partition(";")[0] for answer in (upstream, proxy)]
    wrong_type = f"content type {kinds[1]}, not {kinds[0]}" if kinds[0] != kinds[1] else ""
    status = f"status {proxy.status}, not {upstream.status}" if upstream.status != proxy.status else ""
    return [fault for fault in (status, location, wrong_type) if fault]


def _metrics(upstream: SeenAnswer, proxy: SeenAnswer) -> list[str]:
    return _page(upstream, proxy) + compare_headers(upstream, proxy, BODY_HEADERS)


def _two_types(_upstream: SeenAnswer, proxy: SeenAnswer) -> list[str]:
    return [] if (proxy.status, proxy.body) == (400, b"") else [f"status {proxy.status}, body {proxy.body!r}"]


def _info(upstream: SeenAnswer, proxy: SeenAnswer) -> list[str]:
    if not upstream.body:  # of HEAD
        return compare(upstream, proxy, unlike=BODY_HEADERS)
    told = json.loads(upstream.body)
    told |= {"max_client_batch_size": OPENAI_LIST_MAX, "upstream_max_client_batch_size": told["max_client_batch_size"]}
    body = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
    return compare(
        SeenAnswer(upstream.status, upstream.with_headers(content_length=str(len(body))).headers, body), proxy
    )


def _added_route(upstream: SeenAnswer, proxy: SeenAnswer) -> list[str]:
    faults = [] if upstream.status in {404, 405, 422} else [f"upstream: {upstream.status}"]
    return faults if proxy.status in {200, 204} else [*faults, f"status {proxy.status}, {proxy.body!r}"]


def _models(upstream: SeenAnswer, proxy: SeenAnswer) -> list[str]:
    faults = [] if upstream.status == 404 else [f"upstream: {upstream.status}"]
    body = _json(proxy)
    if proxy.status == 404:
        return faults + _openai_error(SeenAnswer(404, upstream.headers, b""), proxy)
    return faults if body.get("object") == "list" and body.get("data") else [*faults, f"no list: {proxy.body!r}"]


def _own_header(upstream: SeenAnswer, proxy: SeenAnswer) -> list[str]:
    faults = [] if upstream.status == 200 else [f"upstream: {upstream.status}"]
    return faults + _status_and_type(proxy, 422)


def _status_and_type(proxy: SeenAnswer, status: int) -> list[str]:
    faults = [] if proxy.status == status else [f"status {proxy.status}, not {status}"]
    content_type = proxy.header("content-type")
    return faults if content_type == "application/json" else [*faults, f"content-type {content_type}"]


def _json(answer: SeenAnswer) -> dict[str, Json]:
    try:
        value = json.loads(answer.body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


TABLE = {
    "several calls": Difference(
        "inputs of different lengths are sent in several calls, and equal inputs only once", _several_calls
    ),
    "openai error": Difference("OpenAI's clients read `error.message`, so it is added to TEI's fields", _openai_error),
    "openai id": Difference("typed OpenAI clients refuse an answer without an `id`", _has_id),
    "openai null": Difference(
        "OpenAI's clients send `null` for fields that are not set: it is treated as absent", _null_as_absent
    ),
    "unknown ids": Difference(
        "a client that tokenizes with OpenAI's vocabulary would get meaningless vectors", _unknown_ids
    ),
    "own limit": Difference("the proxy has its own limit on a list, OpenAI's", _own_limit),
    "metrics": Difference("each server counts its own work", _metrics),
    "two content types": Difference(
        "a worker refuses invalid HTTP; nginx in front of it forwards the first, and the answer is TEI's", _two_types
    ),
    "info": Difference("the proxy has its own limit on a list; the upstream's limit has a key of its own", _info),
    "docs": Difference("each server has its own pages", _page),
    "models": Difference("OpenAI's clients request the list of models", _models),
    "other shapes": Difference("routes and formats of other proxies that TEI does not have", _added_route),
    "states": Difference("operators and load balancers ask for the state of each part", _added_route),
    "own headers": Difference("a header that only the proxy reads must be valid", _own_header),
}
