"""Find out how many calls in flight, and how large ones, get most work done. Pure; times are passed in.

A hill climb over goodput, not a rule on latency: the latency of a call says little when calls differ tenfold in size,
and whether a second call in flight is worth its wait only shows in what gets done. A neighbour of the present setting
is tried in alternating blocks of calls, so that both see the same traffic, and taken only if it won each pair and by
`GAIN_MIN` in all. A neighbour that lost is left alone twice as long as the time before. So trials cost next to nothing
in the long run, and a setting that costs throughput is never kept.

Where jobs begin to wait for long there is no time for that: what the climb found while they did not says nothing of it, and an upstream
that works on eight calls of 0.4 s beside each other does a quarter of what it could with two. So the climb is then interrupted by
an ascent: twice as many calls at once, and twice as many again, as long as each step clearly does more.

Where calls run side by side beyond doubt, and take no longer though more are in flight, more of them are better though no more gets done:
below what the upstream can do goodput is what clients ask for, and only their waits tell one setting from another. Fewer are not tried there.

A trial must not cost a client its answer, and one of fewer or smaller calls may halve what gets done. So none begins
while jobs wait for long, and one that makes them do so, or takes twice as long to answer them as before, has lost.

More than 250 lines, because the climb, its trials and the ascent that interrupts them are one search: each begins where the other ended.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf

BLOCK_CALLS, BLOCK_S = 24, 0.25  # of service: calls of a fraction of a millisecond are not worth a faster decision
LONG_BLOCK_CALLS, LONG_BLOCK_S = 6, 2.0  # of long calls fewer must do: each costs its clients a second
PAIRS, SURE_PAIRS = 3, 5  # of a small gain one trial in eight wins three pairs by chance
GAIN_MIN, CLEAR_GAIN = 1.03, 1.2
LOST_CALLS, LOST_SHARE = 8, 0.85  # of the goodput of the block before: so much worse shows in so few calls
PATIENCE_BLOCKS, PATIENCE_MAX_BLOCKS = 4, 256
UNITS_MIN = 256
ASCENT_GAIN_MIN = 1.4  # of twice as many calls, where 2 is perfect: each step is seen once, by two rounds of calls
# Between two ascents: as many as one in vain has; twice as many after each further one. At an upstream that has become another
# they are no reason: the rest of some calls of 10 ms was ten seconds where they took 0.4 s.
REST_CALLS, REST_MAX_CALLS = 12, 384
CALLS_SURE = 4  # from more the way down is long, by one call at a time
# Where calls run side by side, more of them in flight are worth it as soon as they slow each other no more than this: below what the
# upstream can do goodput is what clients ask for, and only their waits become shorter.
FREE_CALLS, FREE_SLOWNESS = 8, 1.1
SLOWER_TIMES = 2.0  # the slowest answer of the block before: what comes would pile up
HALF = "half as many"
LESS = ("fewer", "smaller", HALF)  # ways that may cost throughput; the others cost the latency of a call
UNITS_START = 8192  # a medium call: where calls are slow a trial of a larger one costs most, so it is begun below


@dataclass(frozen=True, slots=True)
class Setting:
    """How an upstream is called.

    Attributes:
        calls: The most calls in flight at once.
        units_max: (inputs + 1) times the longest input, in one call; None is no limit but the configured ones.
    """

    calls: int
    units_max: int | None = UNITS_START

    def is_less_than(self, other: "Setting") -> bool:
        """Whether it makes fewer calls at once, or smaller ones."""
        return self.calls < other.calls or (self.units_max or inf) < (other.units_max or inf)


@dataclass(slots=True)
class _Block:
    """Calls of one setting; `idle_calls` had nothing beside them and say nothing of it."""

    setting: Setting
    is_ascent: bool = False
    calls: int = 0
    useful: float = 0.0
    service_s: float = 0.0
    answer_s: float = 0.0
    idle_calls: int = 0
    crowd: int = 0  # in flight, of calls that show what these do to each other
    crowded_calls: int = 0
    crowded_slowness: float = 0.0

    @property
    def is_over(self) -> bool:
        if self.is_ascent:
            return self.calls >= 2 * self.setting.calls and self.service_s >= BLOCK_S
        is_long = self.calls >= LONG_BLOCK_CALLS and self.service_s >= LONG_BLOCK_S
        return is_long or (self.calls >= BLOCK_CALLS and self.service_s >= BLOCK_S)

    def add_crowded(self, calls: int, slowness: float) -> None:
        if calls >= self.crowd:
            self.crowded_calls += 1
            self.crowded_slowness += slowness

    @property
    def may_be_free(self) -> bool:
        """Whether calls have slowed each other no more than `FREE_SLOWNESS` so far, as those of a trial of more calls."""
        return self.crowd > 0 and self.crowded_slowness <= FREE_SLOWNESS * self.crowded_calls

    @property
    def is_free(self) -> bool:
        """Whether enough of them have shown that."""
        return self.crowded_calls >= FREE_CALLS and self.may_be_free

    def add(self, useful: float, service_s: float, answer_s: float = 0.0) -> None:
        self.calls += 1
        self.useful += useful
        self.service_s += service_s
        self.answer_s = max(self.answer_s, answer_s)

    @property
    def goodput(self) -> float:
        return self.useful / self.service_s if self.useful else 0.0


@dataclass(slots=True)
class _Direction:
    """One way to go from a setting, and how long it is left alone."""

    name: str
    patience_blocks: int = PATIENCE_BLOCKS
    asleep_blocks: int = 0


class Climber:
    """The setting in use, and the search for a better one.

    Attributes:
        best: The best setting so far.
        setting: The setting to call with now.
        is_trying: Whether this setting is another one than the best so far.
        candidate: The setting that is compared with the best, in blocks of each; None: none is.
        is_late: Whether jobs wait for so long that a trial of fewer or smaller calls could cost one its answer.
        is_pressed: Whether they wait for so long that more calls have to be made if that helps.

    Args:
        calls_max: The most calls in flight.
        calls_first: Calls in flight with which the climb begins; None: the most.
        tries_sizes: Whether other sizes of calls are tried; else only the configured limits bound them.
    """

    def __init__(self, calls_max: int, calls_first: int | None = None, *, tries_sizes: bool = True) -> None:
        self._calls_max = calls_max
        self._tries_sizes = tries_sizes
        self.best = Setting(calls_first or calls_max, UNITS_START if tries_sizes else None)
        self._larger = _Direction("larger")
        self._directions = [*(_Direction(name) for name in ("fewer", "smaller", "more")), self._larger]
        self._units_seen = 0  # lately
        self._units_top = 0  # ever
        self._is_smaller_better = self._is_doubtful = False
        self._rest_calls, self._rest_next_calls = 0, REST_CALLS
        self._watch()
        self.is_late = self.is_pressed = False
        self.candidate: Setting | None = None
        self._usual_answer_s, self._usual_goodput = inf, 0.0
        self._smaller_min = 0
        self._search = self._searching()
        self._block = next(self._search)
        self._use_block()

    def note(
        self,
        setting: Setting,
        units: int,
        useful: float,
        service_s: float,
        answer_s: float = 0.0,
        *,
        calls: int = 1,
        slowness: float | None = None,
    ) -> None:
        """Learn from a call that kept a busy upstream busy.

        Args:
            setting: The setting that was in use when the call was made.
            units: The call's inputs times the length of the longest.
            useful: What the call was good for: the sum of its inputs' lengths.
            service_s: Seconds that the upstream served it, as `autobatch_batcher.tuning.tuner` counts them.
            answer_s: Seconds from the arrival of its oldest job until the answer.
            calls: In flight with it when it was made, itself included.
            slowness: How many times as long it took as a call of its size does; None unless calls run side by side beyond doubt.
        """
        self._units_seen = max(self._units_seen, units)
        self._units_top = max(self._units_top, units)
        self._rest_calls = max(0, self._rest_calls - 1)
        block = self._block
        if setting == block.setting:  # else it was made before this block began
            block.add(useful, service_s, answer_s)
            if slowness is not None:
                block.crowd = min(setting.calls, self.best.calls + 1)
                block.add_crowded(calls, slowness)
            if block.is_over or self._has_lost(block):
                self._begin_block()
            elif setting.is_less_than(self.best) and answer_s > SLOWER_TIMES * self._usual_answer_s:
                block.useful = 0.0
                self._begin_block()
        if self.is_pressed and not block.is_ascent and not setting.is_less_than(self.best):
            self._note_pressed(setting, useful, service_s)

    def expect(self, units_max: int, smaller_min: int = 0) -> None:
        """Climb from calls of about this size, which what calls cost promises to be good, unless tried ones say otherwise.

        Smaller ones were found better, or larger ones worse a moment ago: of calls that share an upstream's time no cost is quite true.
        Smaller ones than `smaller_min` are not tried.
        Not in an ascent, whose steps it would begin anew; what calls cost is learnt all the time.
        """
        best, self._smaller_min = self.best.units_max, smaller_min
        if self._block.is_ascent or self._is_smaller_better or self._larger.asleep_blocks > 0:
            return
        if best is None or units_max < 2 * best:
            return
        self.best = replace(self.best, units_max=best << (units_max // best).bit_length() - 1)
        self._restart()

    def adopt(self, best: Setting, *, is_remembered: bool = False) -> None:
        """Climb from the setting that another batcher has found; where that was before this one began, see first if half the calls do more."""
        self._is_doubtful = is_remembered and best.calls > CALLS_SURE
        if best != self.best or self._is_doubtful:
            self.best = best
            self._restart()

    def note_idle(self, setting: Setting) -> None:
        """Take note of a call that had nothing else beside it: a trial in which there is no work shows nothing."""
        block = self._block
        if setting == block.setting != self.best:
            block.idle_calls += 1
            if block.idle_calls >= BLOCK_CALLS:
                block.useful = 0.0
                self._begin_block()

    def note_wait(self, *, is_long: bool) -> None:
        """Take note of whether the jobs of the call that is made now have waited for long."""
        self.is_late = is_long
        if is_long and self.setting.is_less_than(self.best):
            self._block.useful = 0.0
            self._begin_block()

    def note_pressure(self, *, is_pressed: bool) -> None:
        """Take note of whether the jobs of the call that is made now have waited for so long that more calls are needed."""
        if is_pressed == self.is_pressed:
            return
        self.is_pressed = is_pressed
        self._watch()
        block = self._block
        if block.is_ascent:  # it has shown nothing of goodput: perhaps it was what ended the wait
            self._rest_calls = self._rest_next_calls
            if block.setting != self.best and block.is_free:
                self._take(block.setting)
            self._restart()

    def note_step(self) -> None:
        """Take note that the upstream is another than before: that more calls were in vain says nothing of this one.

        An ascent that is under way goes on: it began because calls became slow, which shows before it is known.
        """
        self._rest_calls, self._rest_next_calls = 0, REST_CALLS

    def _note_pressed(self, setting: Setting, useful: float, service_s: float) -> None:
        """Begin an ascent after two rounds of calls."""
        if self._rest_calls or self.best.calls >= self._calls_max:
            return
        self._pressed.add(useful, service_s)
        if setting == self.best:
            self._at_best.add(useful, service_s)
        if self._pressed.is_over:
            self._search = self._ascending(self._at_best)
            self._begin_block()

    def _watch(self) -> None:
        """Count the calls under pressure from now on: all of them, and those with the best setting."""
        self._pressed, self._at_best = _Block(self.best, is_ascent=True), _Block(self.best, is_ascent=True)

    def _has_lost(self, block: _Block) -> bool:
        """Whether a trial has shown enough: its clients wait longer with each further call."""
        is_trial = self.is_trying and not block.is_ascent
        if not is_trial or block.calls < LOST_CALLS or (block.setting.calls > self.best.calls and block.may_be_free):
            return False
        return block.goodput < LOST_SHARE * self._usual_goodput

    def _restart(self) -> None:
        self._watch()
        self._search = self._doubting() if self._is_doubtful else self._searching()
        self._begin_block()

    def _begin_block(self) -> None:
        if self._block.setting == self.best and self._block.answer_s:
            self._usual_answer_s, self._usual_goodput = self._block.answer_s, self._block.goodput
        self._block = next(self._search)
        self._use_block()

    def _use_block(self) -> None:
        self.setting = self._block.setting
        self.is_trying = self.setting != self.best

    def _searching(self) -> Iterator[_Block]:
        """Yield one block after the other; each is filled when the next is asked for."""
        while True:
            self.candidate = None
            yield _Block(self.best)
            for direction in self._directions:
                direction.asleep_blocks -= 1
                candidate = self._neighbour(direction.name)
                if candidate is not None and direction.asleep_blocks <= 0 and self._may_try(direction):
                    yield from self._trying(direction, candidate)
            self._units_seen = self._units_seen * 3 // 4

    def _ascending(self, before: _Block) -> Iterator[_Block]:
        """Yield the blocks of an ascent, and then those of the search from where it ended; `before` has calls with the best setting."""
        began = self.best
        self.candidate = None
        if not before.is_over:
            yield before
        while (candidate := self._neighbour("more")) is not None:
            self.candidate = candidate
            after = _Block(candidate, is_ascent=True)
            yield after
            if after.goodput < ASCENT_GAIN_MIN * before.goodput and not after.is_free:
                break
            self._take(candidate)
            before = after
        self._end_ascent(is_in_vain=self.best == began)
        yield from self._searching()

    def _doubting(self) -> Iterator[_Block]:
        """Yield the blocks of a trial of half the calls, and then those of the search; the first calls of a start are like no others."""
        yield _Block(self.best)
        yield from self._trying(_Direction(HALF), replace(self.best, calls=self.best.calls // 2))
        self._is_doubtful = False
        yield from self._searching()

    def _end_ascent(self, *, is_in_vain: bool) -> None:
        self._rest_calls = self._rest_next_calls
        self._rest_next_calls = min(2 * self._rest_next_calls, REST_MAX_CALLS) if is_in_vain else REST_CALLS
        self._watch()

    def _trying(self, direction: _Direction, candidate: Setting) -> Iterator[_Block]:
        """Yield the blocks of one trial, and decide by them."""
        pairs: list[tuple[_Block, _Block]] = []
        self.candidate = candidate
        while not _are_enough(pairs):
            before, after = _Block(self.best), _Block(candidate)
            yield before
            if not self._may_try(direction) or (direction.name == "fewer" and before.is_free):
                return
            if direction.name == "more" and pairs:
                after.crowded_calls, after.crowded_slowness = pairs[-1][1].crowded_calls, pairs[-1][1].crowded_slowness
            yield after
            if direction.name == "more" and after.is_free:
                self._take(candidate)
                return
            pairs.append((before, after))
            if after.goodput <= before.goodput and not (direction.name == "more" and after.may_be_free):
                break  # it has lost already
        self._decide(direction, candidate, pairs)

    def _may_try(self, direction: _Direction) -> bool:
        if self.is_late and direction.name in LESS:
            return False
        return not (self.is_pressed and direction.name == "fewer")

    def _decide(self, direction: _Direction, candidate: Setting, pairs: list[tuple[_Block, _Block]]) -> None:
        before, after = pairs[-1]
        if _gain(pairs) >= GAIN_MIN and after.goodput > before.goodput:
            self._is_smaller_better |= direction.name == "smaller"
            self._take(candidate)
            return
        self._leave_alone(direction)

    def _leave_alone(self, direction: _Direction) -> None:
        direction.asleep_blocks = direction.patience_blocks
        direction.patience_blocks = min(2 * direction.patience_blocks, PATIENCE_MAX_BLOCKS)

    def _take(self, found: Setting) -> None:
        """Climb on from a better setting; what is better beside it has not been tried."""
        self.best = found
        self._watch()
        for each in self._directions:
            each.patience_blocks, each.asleep_blocks = PATIENCE_BLOCKS, 0

    def _neighbour(self, name: str) -> Setting | None:
        """Return the next setting that way, if there is one."""
        calls, units_max = self.best.calls, self.best.units_max
        if name == "fewer":
            return replace(self.best, calls=calls - 1) if calls > 1 else None
        if name == "more":
            return replace(self.best, calls=min(2 * calls, self._calls_max)) if calls < self._calls_max else None
        if name == "smaller":
            half = min(units_max or self._units_seen, self._units_seen) // 2
            return (
                replace(self.best, units_max=half)
                if self._tries_sizes and half >= max(UNITS_MIN, self._smaller_min)
                else None
            )
        if units_max is None or 2 * self._units_top < units_max:
            return None  # no limit, or none that was felt
        # Beyond what was ever sent a limit limits nothing.
        return replace(self.best, units_max=2 * units_max if 2 * units_max < self._units_top else None)


def _gain(pairs: list[tuple[_Block, _Block]]) -> float:
    return sum(after.goodput for _, after in pairs) / sum(before.goodput for before, _ in pairs)


def _are_enough(pairs: list[tuple[_Block, _Block]]) -> bool:
    """Whether pairs that the candidate has won decide: a small gain needs more of them."""
    return len(pairs) >= SURE_PAIRS or (len(pairs) >= PAIRS and _gain(pairs) >= CLEAR_GAIN)
