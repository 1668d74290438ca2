"""What is wrong with a body of `POST /embed` that is not plainly a request, where the upstream does not read such bodies. Pure."""

import msgspec

from autobatch_shared.contract.errors import NOT_AS_ASKED, InvalidRequest

EMBED_ROUTES = ("/embed", "/", "/invocations")


class _EmbedBody(msgspec.Struct):
    """What must be true of one, in the words of which its errors are told."""

    inputs: str | list[str | int | list[int]]
    truncate: bool | None = None
    truncation_direction: str = "right"
    prompt_name: str | None = None
    normalize: bool = True
    dimensions: int | None = None


_decode = msgspec.json.Decoder(_EmbedBody).decode


def fault_of_embed(body: bytes) -> InvalidRequest:
    """Return the error for such a body."""
    try:
        inputs = _decode(body).inputs
    except msgspec.ValidationError as exc:
        return InvalidRequest(f"Failed to deserialize the JSON body into the target type: {exc}")
    except NOT_AS_ASKED:
        return InvalidRequest("Failed to parse the request body as JSON")
    if not inputs:
        return InvalidRequest("Input validation error: `inputs` cannot be empty")
    return InvalidRequest("The body has a field twice, or more bytes than PAYLOAD_LIMIT as one call")
