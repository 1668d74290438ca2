"""Float32 as the shortest text that is the same number. Needs numpy, and is imported where vectors came in binary. Pure."""

import numpy as np
import orjson


def print_row(packed: bytes) -> bytes:
    """Return a JSON array of little-endian float32; what is not a number is null."""
    return orjson.dumps(np.frombuffer(packed, "<f4"), option=orjson.OPT_SERIALIZE_NUMPY)
