"""What the tuner of an upstream does, in a sentence. Pure."""

from autobatch_shared.contract.status import LearntCalls
from autobatch_shared.watching.activity import TuningNow

LAWS = {"padded": "pads", "summed": "does not pad", "counted": "costs by number"}


def tuner_words(learnt: LearntCalls | None, tuning: TuningNow | None, inputs_max: int | None) -> str:
    """Return how an upstream is called, what is tried beside that, and what its calls have shown.

    Args:
        learnt: What its calls have taught; None: nothing yet.
        tuning: How it is called now; None: as configured.
        inputs_max: The most inputs of one call; None: not known.
    """
    at_most = f", up to {inputs_max} texts" if inputs_max is not None else ""
    if tuning is None:
        return f"as configured{at_most}"
    words = f"{_calls(tuning.calls)}{at_most}"
    tried = _tried(tuning)
    if tried:
        words += f"; tries {tried}"
    return words if learnt is None else f"{words}; {_cost(learnt)}"


def _calls(calls: int) -> str:
    return "1 call at a time" if calls == 1 else f"{calls} calls at once"


def _tried(tuning: TuningNow) -> str:
    if tuning.tried_calls is None:
        return ""
    if tuning.tried_calls != tuning.calls:
        return str(tuning.tried_calls)
    if tuning.tried_units_max is None or (tuning.units_max or 0) < tuning.tried_units_max:
        return "larger calls"
    return "smaller calls"


def _cost(learnt: LearntCalls) -> str:
    knee = f", free up to {learnt.knee_units:.0f}" if learnt.knee_units else ""
    return f"{LAWS[learnt.law]}: {_time(learnt.flat_s)} + {_time(learnt.per_unit_s)}/unit{knee}"


def _time(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.3g} s"
    if seconds >= 0.001 or seconds == 0:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds * 1e6:.3g} us" if seconds >= 1e-6 else f"{seconds * 1e9:.3g} ns"
