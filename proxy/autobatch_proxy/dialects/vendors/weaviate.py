"""Read and answer `POST /vectors`, the route of Weaviate's inference containers. Pure.

    {"text": "text", "config": …}       -> {"text": "text", "dims": n, "dim": n, "vector": [...]}
    {"texts": ["text", ...], "config": …} -> {"texts": [...], "dims": n, "dim": n, "vectors": [[...], ...]}

Source: the inference container of Weaviate's text2vec-transformers module. `config` (pooling, task) is not read: the
upstream's model has its own.
"""

from functools import partial

import msgspec

from autobatch_proxy.dialects.forms import only_row
from autobatch_proxy.dialects.strict_json import decode_or_refuse
from autobatch_proxy.requests.asked import AnswerFacts, Asked
from autobatch_proxy.requests.joining import rows_in
from autobatch_shared.contract.errors import EmptyInput, InvalidRequest


class _Vectors(msgspec.Struct):
    text: str | None = None
    texts: list[str] | None = None


_decode = msgspec.json.Decoder(_Vectors).decode
_encode = msgspec.json.Encoder().encode


def read_vectors(body: bytes) -> Asked:
    """Read a `POST /vectors`.

    Raises:
        NotJson, EmptyInput: As the names say.
        InvalidRequest: It has another shape.
    """
    request = decode_or_refuse(_decode, body)
    if request.text is not None:
        inputs: str | list[str] = request.text
    elif request.texts is not None:
        inputs = request.texts
    else:
        raise InvalidRequest("Object missing required field `text` or `texts`")
    if not inputs:
        raise EmptyInput(f"`{'text' if request.text is not None else 'texts'}` cannot be empty")
    raw = _encode(inputs)
    form = partial(_one_vector if isinstance(inputs, str) else _all_vectors, raw)
    return Asked("/embed", inputs, raw, form=form, is_native=False)


def _one_vector(text: bytes, rows: bytes, _facts: AnswerFacts) -> bytes:
    row = only_row(rows)
    size = row.count(b",") + 1
    return b'{"text":%b,"dims":%d,"dim":%d,"vector":%b}' % (text, size, size, row)


def _all_vectors(texts: bytes, rows: bytes, _facts: AnswerFacts) -> bytes:
    size = bytes(rows_in(rows)[0]).count(b",") + 1
    return b'{"texts":%b,"dims":%d,"dim":%d,"vectors":%b}' % (texts, size, size, rows)
