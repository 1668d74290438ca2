"""The models that this worker can ask: made when a batcher announces one, dropped when it is not known any more.

1. The unnamed model is always there. While no other one was announced, nothing is chosen, and `are_named` is all that a
   request looks at.
2. Until the announcements were read once, it is not known whether there are others, and requests wait.
3. A model is not forgotten because Redis has lost its announcement.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Container, Sequence
from contextlib import suppress

import msgspec

from autobatch_proxy.models.directory import UNNAMED, Directory
from autobatch_proxy.models.model_end import ModelEnd
from autobatch_proxy.queue.inbox_reader import OUTAGE_PATIENCE_S
from autobatch_shared.contract.errors import DeadlineExceeded, NoBatcher, QueueUnavailable
from autobatch_shared.contract.keys import ANNOUNCED_TTL_MS
from autobatch_shared.contract.model_names import Announcement
from autobatch_shared.contract.status import Fleet

log = logging.getLogger(__name__)

FIRST_LOOK_S = 1.0  # so that a worker which starts beside others refuses nothing


class Models:
    """The models of one worker.

    Attributes:
        unnamed: The model without a name.
        are_named: Whether a request may have to say for which one it is.
        directory: Knows their names.

    Args:
        unnamed: The model without a name.
        make: Returns the end of another model, given its name.
        aliases: The unnamed model's further names.
    """

    def __init__(self, unnamed: ModelEnd, make: Callable[[str], ModelEnd], aliases: Collection[str]) -> None:
        self.unnamed = unnamed
        self.are_named = True
        self.directory = Directory()
        self._make = make
        self._aliases = aliases
        self._ends = {UNNAMED: unnamed}
        self._said: dict[Announcement, int] = {}  # each without its time -> the last time, unix ms of Redis's clock
        self._served: str | None = None
        self._first_look = asyncio.Event()

    @property
    def ends(self) -> Sequence[ModelEnd]:
        """Those that can be asked: the unnamed one, where it has or had a batcher or is the only one, and the others in order."""
        named = [self._ends[name] for name in self.directory.names]
        return [self.unnamed, *named] if self._served is not None or not named else named

    @property
    def names(self) -> Container[str]:
        """The names and aliases by which a request may ask for one of them."""
        return self.directory.words

    @property
    def inputs_in_flight(self) -> int:
        """Inputs of requests that wait for their answer, of all models."""
        return sum([end.queue.inputs_in_flight for end in self._ends.values()])

    def of(self, names: Sequence[str]) -> ModelEnd:
        """Return the model that a page without a body is asked about; raises as `choose` does."""
        return self._end(self.directory.chosen(names, None, is_checked=False)) if self.are_named else self.unnamed

    async def open(self) -> None:
        """Connect to the unnamed model's queue, and learn which others there are, for as long as that is quick."""
        self.unnamed.watcher.open(self._note)
        await self.unnamed.open()
        if self.unnamed.queue.is_connected:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._first_look.wait(), FIRST_LOOK_S)

    async def close(self) -> None:
        """Stop all of them, when no request waits any more."""
        await self.unnamed.watcher.close()  # first: it may add others
        for end in self._ends.values():
            await end.close()

    async def choose(
        self, outside: Sequence[str], inside: str | None, timeout_s: float, *, is_checked: bool
    ) -> ModelEnd:
        """Return the model that a request is for, as `Directory.chosen` says.

        Raises:
            NoBatcher: It has gone.
            QueueUnavailable, DeadlineExceeded: What is announced could not be read yet.
            InvalidRequest: As `Directory.chosen` says.
        """
        if not self._first_look.is_set():
            await self._wait(timeout_s)
        if not self.are_named:
            return self.unnamed
        return self._end(self.directory.chosen(outside, inside, is_checked=is_checked))

    def _end(self, name: str) -> ModelEnd:
        end = self._ends.get(name)
        if end is None:
            raise NoBatcher
        return end

    async def _wait(self, timeout_s: float) -> None:
        try:
            await asyncio.wait_for(self._first_look.wait(), min(timeout_s, OUTAGE_PATIENCE_S))
        except TimeoutError:
            raise (QueueUnavailable if timeout_s > OUTAGE_PATIENCE_S else DeadlineExceeded) from None

    async def _note(self, fleet: Fleet) -> None:
        """Take note of what is announced: a model may have come or gone."""
        if fleet.batchers:
            self._served = fleet.card.name or self._served or ""
        announcements = self._remembered(fleet)
        if announcements:
            await self._follow(Directory(announcements, fleet.now_ms, self._served, self._aliases))
        self.are_named = bool(announcements)
        self._first_look.set()

    def _remembered(self, fleet: Fleet) -> list[Announcement]:
        """What is announced or was lately, also where Redis has lost it."""
        for said in fleet.announced:
            timeless = msgspec.structs.replace(said, at=0)
            self._said[timeless] = max(said.at, self._said.get(timeless, 0))
        self._said = {said: at_ms for said, at_ms in self._said.items() if fleet.now_ms - at_ms < ANNOUNCED_TTL_MS}
        return [msgspec.structs.replace(said, at=at_ms) for said, at_ms in self._said.items()]

    async def _follow(self, directory: Directory) -> None:
        """Open the models that have come, and close those that have gone."""
        come = [name for name in directory.names if name not in self._ends]
        gone = [name for name in self.directory.names if name not in directory.names]
        for clash in directory.clashes:
            if clash not in self.directory.clashes:
                log.error("models_clash", extra={"clash": clash})
        opened = [self._make(name) for name in come]
        for end in opened:
            end.watcher.open()
        await asyncio.gather(*[end.open() for end in opened])
        self._ends.update(zip(come, opened, strict=True))
        self.directory = directory
        if come or gone:
            log.info("models_changed", extra={"come": come, "gone": gone})
        for name in gone:
            await self._ends.pop(name).close()
