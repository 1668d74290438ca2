"""What was read of a fleet in one look at Redis, before anything is made of it."""

from dataclasses import dataclass, field

from autobatch_shared.contract.models import ServedModel
from autobatch_shared.contract.status import BatcherStatus
from autobatch_shared.watching.activity import Activity


@dataclass(frozen=True, slots=True)
class SeenModel:
    """One model.

    Attributes:
        name: Its name; empty: the unnamed one.
        record: What the namespace serves under it; None: nothing is known.
        reports: What its batchers reported, old ones too.
        queued: Inputs that wait in its queue.
        queued_bulk: Inputs that wait in its bulk queue.
        dead: Jobs that were given up.
        expired: Inputs of those in both queues, about, whose deadline has passed; only looked for where no batcher takes them.
    """

    name: str
    record: ServedModel | None
    reports: list[BatcherStatus]
    queued: int = 0
    queued_bulk: int = 0
    dead: int = 0
    expired: int = 0


@dataclass(frozen=True, slots=True)
class SeenFleet:
    """Everything.

    Attributes:
        now_ms: When it was read, unix milliseconds of Redis's clock.
        models: The models of the namespace.
        activities: What workers and batchers did.
    """

    now_ms: int
    models: list[SeenModel] = field(default_factory=list)
    activities: list[Activity] = field(default_factory=list)
