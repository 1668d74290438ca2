"""What servers with OpenAI's API say when they refuse: as TEI would say it, and which limit it names. Pure.

    {"error": {"message": "...", "type": "...", "code": ...}}    OpenAI, vLLM, Ollama, llama.cpp, infinity
    {"object": "error", "message": "..."}                        older vLLM
    {"detail": "..."} or {"detail": [{"loc": [...], "msg": "..."}, ...]}    FastAPI, before the server itself
    {"error": "...", "error_type": "..."}                        TEI's own route

Numbers of inputs that they name: Azure's "The max number of inputs is 16", DashScope's "batch size is invalid, it should not be
larger than 10", pydantic's "List should have at most 2048 items", TEI's "maximum allowed batch size 32".

Tokens of all inputs together: OpenAI's "Requested 453357 tokens, max 300000 tokens per request", Voyage's "The max allowed tokens per
submitted batch is 120000. Your batch has 124302 tokens", Mistral's "Too many tokens in batch. Max is 16384 got 17555", and its "Too many
tokens overall, split into more batches". "maximum context length" is of one input.

llama.cpp answers 500 to an input that is longer than its physical batch, of 512 tokens by default, and to one that is longer than its context:
the fault of that input, as Ollama says it with 400, and no outage.
"""

import re
from dataclasses import replace
from typing import Any

import msgspec

from autobatch_batcher.dialects.base import JSON, Answer, TokensSaid
from autobatch_batcher.dialects.verdict import OVERLOADED
from autobatch_shared.contract.errors import NOT_AS_ASKED, OUT_OF_QUOTA

TEXT_MAX = 1_000  # characters of a server's own words that travel on
_TYPES = {413: "Validation", 424: "Backend", 429: "Overloaded", 503: "Unhealthy"}

_is_about_the_list = re.compile(
    r"batch[ _]?size|number of inputs|inputs? (?:array|list)|list should have|array too long|maximum length|items|"
    r"at most \d+ (?:inputs|texts|requests|items)|requests can be in one batch",
    re.IGNORECASE,
).search
_is_about_the_total = re.compile(
    r"tokens per (?:request|(?:submitted )?batch)|too many tokens (?:in (?:the )?batch|overall)", re.IGNORECASE
).search
_is_about_one_input = re.compile(
    r"input (?:\(\d+ tokens\) )?is (?:too large to process|larger than the max context size)", re.IGNORECASE
).search
_TOTAL_TOKENS_MIN = 1_000  # smaller numbers are of a model's name
_numbers = re.compile(r"\d+").findall
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


def as_tei(answer: Answer, status: int) -> Answer:
    """Return the answer with this status, and its error in TEI's shape."""
    said = _said(answer.body)
    if answer.status == status and set(said) == {"error", "error_type"} and all(map(_is_text, said.values())):
        return answer
    spent = _spent(said) if status == OVERLOADED else ""
    text = _message(said) or answer.body.decode(errors="replace").strip() or f"The upstream answered {status}"
    error_type = spent or _TYPES.get(status, "Backend" if status >= 500 else "Validation")
    body = _encode({"error": text[:TEXT_MAX], "error_type": error_type})
    return replace(answer, status=status, content_type=JSON, body=body, is_final=bool(spent))


def status_meant(answer: Answer) -> int:
    """Return the status that an answer would have from a server that writes errors as OpenAI does; 200 unless it is an error."""
    status = status_within(answer.body) if answer.status == 200 else answer.status
    return 400 if status == 500 and _is_about_one_input(_message(_said(answer.body))) else status


def status_within(body: bytes) -> int:
    """Return the status that a body of status 200 has in it: 200 unless it is an error."""
    if b'"error"' not in body[:200]:  # where gateways write it; a list of embeddings is not read for this
        return 200
    error = _said(body).get("error")
    if not error:
        return 200
    code = error.get("code") if isinstance(error, dict) else None
    code = int(code) if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) == 3 else code
    return code if type(code) is int and 400 <= code < 600 else 500


def inputs_max_said(body: bytes, inputs: int) -> int | None:
    """Return the most inputs that a call may have by the error to one that had more; None where the error does not say.

    Args:
        body: The error, in TEI's shape.
        inputs: Number of inputs that the call had.
    """
    text = _message(_said(body))
    if _is_about_the_list(text) is None or _is_about_one_input(text):
        return None
    named = [int(number) for number in _numbers(text) if len(number) < 7 and 0 < int(number) < inputs]
    return max(named, default=None)


def tokens_said(body: bytes) -> TokensSaid | None:
    """Return what an error, in TEI's shape, says of the tokens of all inputs together."""
    text = _message(_said(body))
    if _is_about_the_total(text) is None:
        return None
    named = sorted({int(number) for number in _numbers(text) if len(number) < 10 and int(number) >= _TOTAL_TOKENS_MIN})
    if not named:
        return TokensSaid()
    return TokensSaid(named[-2], named[-1]) if len(named) > 1 else TokensSaid(named[0])


def _said(body: bytes) -> dict[str, Any]:
    try:
        return _decode(body)
    except NOT_AS_ASKED:
        return {}


def _message(said: dict[str, Any]) -> str:
    error = said.get("error")
    for place in (error.get("message") if isinstance(error, dict) else error, said.get("message"), said.get("detail")):
        if _is_text(place):
            return str(place)
        if isinstance(place, list):
            return "; ".join(_fault(each) for each in place)
    return ""


def _spent(said: dict[str, Any]) -> str:
    """The word by which an error says that the account has no quota left; empty: it does not."""
    error = said.get("error")
    words = (error.get("code"), error.get("type")) if isinstance(error, dict) else ()
    return next((word for word in words if isinstance(word, str) and word in OUT_OF_QUOTA), "")


def _fault(each: Any) -> str:
    """One of FastAPI's faults; what the client sent is in it as `input`, and is left out."""
    if not isinstance(each, dict):
        return ""
    place = (
        ".".join(str(part) for part in each.get("loc", ()) if part != "body")
        if isinstance(each.get("loc"), list)
        else ""
    )
    return f"{place}: {each.get('msg', '')}" if place else str(each.get("msg", ""))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)
