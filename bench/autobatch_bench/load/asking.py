"""How texts are asked for in each API that an upstream may have. Pure.

An upstream of KServe v2 is asked over HTTP, with the numbers of its answer in binary: for the server that is as cheap as gRPC, and the load
tool needs no gRPC of its own.
"""

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import NamedTuple

TENSOR_IN, TENSOR_OUT = "text", "embedding"  # of the model behind KServe v2


class Api(StrEnum):
    """What an upstream that is measured speaks."""

    TEI = "tei"
    OPENAI = "openai"
    TRITON = "triton"


class Form(NamedTuple):
    """Requests of one API.

    Attributes:
        path: Where they go.
        body_of: Returns the JSON that asks for some texts; a text has no character that JSON would escape.
        head: Further lines of the request's head, each with its end.
    """

    path: str
    body_of: Callable[[tuple[str, ...]], str]
    head: str = ""


def openai(model: str, encoding: str) -> Form:
    """Return OpenAI's; `encoding` is `float` or `base64`."""
    return Form("/v1/embeddings", partial(_openai_body, model, encoding))


def direct(api: Api, model: str) -> Form:
    """Return how an upstream is asked: as its own clients ask it by default."""
    match api:
        case Api.TEI:
            return TEI_LISTED
        case Api.OPENAI:
            return openai(model, "base64")
        case Api.TRITON:
            return Form(f"/v2/models/{model}/infer", _kserve_body)


def _listed(texts: tuple[str, ...]) -> str:
    return ",".join(f'"{text}"' for text in texts)


def _tei_body(texts: tuple[str, ...]) -> str:
    return f'{{"inputs":"{texts[0]}"}}' if len(texts) == 1 else _tei_list_body(texts)


def _tei_list_body(texts: tuple[str, ...]) -> str:
    return f'{{"inputs":[{_listed(texts)}]}}'


def _openai_body(model: str, encoding: str, texts: tuple[str, ...]) -> str:
    asked = f'"{texts[0]}"' if len(texts) == 1 else f"[{_listed(texts)}]"
    return f'{{"model":"{model}","input":{asked},"encoding_format":"{encoding}"}}'


def _kserve_body(texts: tuple[str, ...]) -> str:
    asked = f'{{"name":"{TENSOR_IN}","shape":[{len(texts)},1],"datatype":"BYTES","data":[{_listed(texts)}]}}'
    wanted = f'{{"name":"{TENSOR_OUT}","parameters":{{"binary_data":true}}}}'
    return f'{{"inputs":[{asked}],"outputs":[{wanted}]}}'


TEI = Form("/embed", _tei_body)
#: A single text as a list of one: some proxies take nothing else.
TEI_LISTED = Form("/embed", _tei_list_body)
