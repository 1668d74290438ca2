"""Keep Python's garbage collector off the hot path."""

import gc

# At c=512 the default of 700 had the collector take 18 % of a worker's time. Almost everything that a request makes
# dies by reference count; what does not is collected all the same, later and at once.
YOUNG_OBJECTS_MAX = 50_000


def spare_the_collector() -> None:
    """Keep what lives for ever out of collections, and make these rare. To be called when everything is built."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS_MAX, 20, 20)
