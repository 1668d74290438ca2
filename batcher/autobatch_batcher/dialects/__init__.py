"""What each kind of upstream understands and says. Pure.

One file a dialect, one line in the table: INFERENCE_DIALECT names it.
"""

from autobatch_batcher.dialects.base import Dialect
from autobatch_batcher.dialects.tei import Tei

DIALECTS: dict[str, Dialect] = {
    "tei": Tei(),
}

__all__ = ["DIALECTS", "Dialect"]
