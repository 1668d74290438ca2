"""Read `POST /v1/embedding`: a list of queries, each answered with an object. Pure.

[{"query": "text"}, ...] -> [{"embedding": [...]}, ...]
"""

import msgspec

from autobatch_proxy.dialects.forms import listed_embeddings
from autobatch_proxy.dialects.strict_json import decode_or_refuse
from autobatch_proxy.requests.asked import Asked
from autobatch_shared.contract.errors import EmptyInput


class _Query(msgspec.Struct):
    query: str


_decode = msgspec.json.Decoder(list[_Query]).decode
_encode = msgspec.json.Encoder().encode


def read_queries(body: bytes) -> Asked:
    """Read a `POST /v1/embedding`.

    Raises:
        NotJson, EmptyInput: As the names say.
        InvalidRequest: It has another shape.
    """
    texts = [item.query for item in decode_or_refuse(_decode, body)]
    if not texts:
        raise EmptyInput("The list of queries cannot be empty")
    return Asked("/embed", texts, _encode(texts), form=listed_embeddings, is_native=False)
