"""Whether an upstream serves the namespace's model, and for which model it counts. Pure; the clock is passed in.

1. An upstream that serves another model is excluded: it is not called, and its reason is shown.
2. What an upstream serves has to be learnt before it is used, and again once it is doubted.
3. One that is down counts for the model that it served for a while, and one that was never seen for the namespace's: so
   a crash does not hand the namespace to a neighbour with another model.
"""

from autobatch_shared.contract.models import ServedModel, differ_in_rows_only, differences

COUNT_S = 30.0
NO_RECORD = "the namespace's model is not known yet"
NOT_LEARNT = "it has not said yet what it serves"


class Standing:
    """Of one upstream.

    Attributes:
        served: What it serves; None while that is unknown or doubted.
        fingerprint: Of what it serves; empty while that is unknown.
        reason: Why it is excluded; empty while it may be called.
        is_tried: Whether it was asked what it serves, with or without success.

    Args:
        count_s: Seconds after it was last well that it still counts for its model.
    """

    def __init__(self, count_s: float = COUNT_S) -> None:
        self.served: ServedModel | None = None
        self.fingerprint = ""
        self.reason = ""
        self.is_tried = False
        self._count_s = count_s
        self._doubt = NOT_LEARNT
        self._wanted: ServedModel | None = None
        self._last_served: ServedModel | None = None
        self._seen_s: float | None = None

    def wait_for_record(self) -> None:
        """Exclude it until the namespace's model is known."""
        self.reason = NO_RECORD

    def follow(self, wanted: ServedModel) -> None:
        """Take note of the namespace's model."""
        self._wanted = wanted
        self._judge()

    def learnt(self, served: ServedModel) -> None:
        """Take note of what it serves."""
        self.served = self._last_served = served
        self._doubt = NOT_LEARNT
        self.fingerprint = served.fingerprint
        self._judge()

    def doubt(self, why: str = NOT_LEARNT) -> None:
        """Exclude it until it has said again what it serves; `why` is the reason that is shown."""
        self.served, self.fingerprint = None, ""
        self.reason = self._doubt = why

    @property
    def has_to_show(self) -> bool:
        """Whether only a vector of it shows whether it may be called: it has to say what it serves, or its rows alone exclude it."""
        served, wanted = self.served, self._wanted
        return served is None or (wanted is not None and differ_in_rows_only(served, wanted))

    @property
    def silence(self) -> str:
        """Why it does not say what it serves; empty while it does, or may only serve another model."""
        return self._doubt if self.served is None and self._doubt != NOT_LEARNT else ""

    @property
    def told(self) -> str:
        """What clients are told of its silence; empty while it says what it serves."""
        return f"The upstream does not say what it serves: {self.silence}" if self.silence else ""

    @property
    def kept_name(self) -> str:
        """The model to go on with at an upstream that has several: the namespace's, or that which it served; empty: none yet."""
        kept = self._wanted or self._last_served
        return "" if kept is None else kept.name

    def was_well(self, at_s: float) -> None:
        """Take note that it worked at this time."""
        self._seen_s = at_s if self._seen_s is None else max(self._seen_s, at_s)

    def counts_for(self, now_s: float) -> str:
        """Return the fingerprint of the model that it keeps in use; empty for none."""
        if self._seen_s is None:
            self._seen_s = now_s
        kept = self._last_served or self._wanted
        return kept.fingerprint if kept is not None and now_s - self._seen_s < self._count_s else ""

    def keeps(self, model: ServedModel, now_s: float) -> bool:
        """Whether it counts for this model because it was seen to serve it."""
        return self._last_served is not None and self.counts_for(now_s) == model.fingerprint

    def _judge(self) -> None:
        if self._wanted is None:
            return
        if self.served is None:
            self.reason = self._doubt
        elif self.served.fingerprint == self._wanted.fingerprint:
            self.reason = ""
        else:
            differing = differences(self.served, self._wanted)
            self.reason = f"it serves {self.served.shown} and not {self._wanted.shown}: {differing}"
