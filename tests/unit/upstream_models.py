"""Upstreams that exist only as arithmetic, under a backlog that never ends, called as a `Tuner` says."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from autobatch_batcher.tuning.climbing import Setting
from autobatch_batcher.tuning.tuner import Sample, Tuner

INPUTS_MAX = 32
Cost = Callable[[int, int], float]  # units, calls in flight -> seconds


@dataclass
class ModelledUpstream:
    """Some servers, each of which handles one call at a time, the oldest first.

    Attributes:
        cost_s: Seconds that a call takes once a server has it.
        servers: How many.
        noise: Sigma of the factor by which a call takes longer or shorter.
        overhead_s: From an answer until the next call in its place arrives.
    """

    cost_s: Cost
    servers: int = 1
    noise: float = 0.1
    overhead_s: float = 0.0


@dataclass
class Run:
    """The outcome of a run.

    Attributes:
        began_s: When the first call was made.
        ended_s: When each call ended.
        useful: Units of each call that were not padding.
        settings: The setting of each call.
    """

    began_s: float
    ended_s: list[float] = field(default_factory=list)
    useful: list[int] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)

    def goodput(self, first: int = 0) -> float:
        """Useful units a second, from call number `first` on."""
        began_s = self.ended_s[first - 1] if first else self.began_s
        return sum(self.useful[first:]) / (self.ended_s[-1] - began_s)


def drive(
    upstream: ModelledUpstream,
    calls: int,
    tuner: Tuner | None = None,
    fixed: Setting | None = None,
    *,
    seed: int = 1,
    began_s: float = 0.0,
    waited_share: float = 0.0,
    waited_calls: float = 0.0,
) -> Run:
    """Make this many calls, with the tuner's setting or a fixed one; lengths are about 100, and a fifth is padding.

    Args:
        upstream: Takes them.
        calls: How many.
        tuner: Says how many at once and how large, and learns from them.
        fixed: Says so instead.
        seed: Of lengths and noise.
        began_s: When the first is made.
        waited_share: Of its time, that each job has waited, as the tuner hears; 0: it hears nothing of it.
        waited_calls: Times what its call should take, that each job has waited, as the tuner hears.
    """
    chance = random.Random(seed)
    free_s = [began_s] * upstream.servers
    running: list[tuple[float, int, float, int, int, Setting, int]] = []
    run, made, now_s, ready_s = Run(began_s), 0, began_s, began_s
    while len(run.settings) < calls:
        setting = fixed or (tuner.setting if tuner else Setting(1))
        while len(running) < setting.calls:
            longest = int(chance.uniform(60, 140))
            inputs = INPUTS_MAX
            if setting.units_max is not None:
                inputs = max(1, min(inputs, setting.units_max // longest - 1))
            units = inputs * longest
            if tuner and (waited_share or waited_calls):
                tuner.note_wait(waited_share, waited_calls)
            sent_s = max(now_s, ready_s)
            begun_s = max(heapq.heappop(free_s), sent_s)
            ended_s = begun_s + upstream.cost_s(units, setting.calls) * chance.lognormvariate(0, upstream.noise)
            heapq.heappush(free_s, ended_s)
            heapq.heappush(running, (ended_s, made, sent_s, units, int(units * 0.8), setting, len(running) + 1))
            made += 1
        now_s, _, sent_s, units, useful, used, in_flight = heapq.heappop(running)
        ready_s = now_s + upstream.overhead_s
        run.settings.append(used)
        run.useful.append(useful)
        run.ended_s.append(now_s)
        if tuner:
            tuner.note(Sample(used, units, useful, sent_s, now_s, was_busy=True, calls=in_flight))
    return run
