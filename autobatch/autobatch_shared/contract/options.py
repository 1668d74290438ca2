"""How the inputs of a job are to be computed: what may differ between requests of one route."""

from typing import Literal

import msgspec


class Options(msgspec.Struct, frozen=True, omit_defaults=True):
    """Options of one job; jobs of equal options and route may share a call.

    An upstream's dialect writes them in its own words. A field that a route does not have keeps its default.

    Attributes:
        truncate: Whether inputs that are too long are cut; None: as the upstream was started.
        truncation_direction: The end at which inputs are cut.
        prompt_name: Name of the prompt that the upstream puts before each input; None: its default prompt.
        normalize: Whether vectors are scaled to length 1.
        dimensions: Number of components of a vector; None: all.
        raw_scores: Whether scores are returned as the model computes them, not scaled.
    """

    truncate: bool | None = None
    truncation_direction: Literal["right", "left"] = "right"
    prompt_name: str | None = None
    normalize: bool = True
    dimensions: int | None = None
    raw_scores: bool = False


DEFAULTS = Options()


def unavailable(field: str) -> str:
    """Return how the refusal begins of an option that an upstream has not."""
    return f"Input validation error: `{field}` is not available"


def unless_default(options: Options) -> Options | None:
    """Return the options as a job carries them: None where all are defaults."""
    return None if options == DEFAULTS else options
