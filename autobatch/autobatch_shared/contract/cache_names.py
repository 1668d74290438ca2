"""What a cached row is called: the same name for the same question to the same model, and for nothing else.

1. The name holds everything that a vector depends on, so a change of any of it is a miss and never another's vector.
2. When it is not sure which model answers, nothing is named: better no cache than a wrong vector.
3. A name is a digest. No text of a user can be read from Redis's keys.
"""

from hashlib import blake2b

import msgspec

from autobatch_shared.contract.options import Options

DIGEST_BYTES = 16  # two of 10**12 texts share a name with probability 1.5e-15; a name cannot be aimed at

_encode = msgspec.json.Encoder().encode


def cache_name(model: str, route: str, options: Options | None, raw_input: bytes) -> str:
    """Return the name of one row: 32 hex digits.

    Args:
        model: Fingerprint of the model that computes the row, from `autobatch_shared.contract.models`.
        route: Path at the upstream, such as `/embed`.
        options: How the input is computed, as in the job's header; None: all defaults.
        raw_input: One input as it stands in the client's body, JSON.
    """
    # Half a surrogate pair is not UTF-8; passing it on keeps names apart and cannot fail.
    head, path = model.encode("utf-8", "surrogatepass"), route.encode("utf-8", "surrogatepass")
    rest = b"" if options is None else _encode(options)
    # Lengths first, or "a" + "bc" and "ab" + "c" would be one name.
    parts = b"%d:%d:%d:%b%b%b%b" % (len(head), len(path), len(rest), head, path, rest, raw_input)
    return blake2b(parts, digest_size=DIGEST_BYTES).hexdigest()
