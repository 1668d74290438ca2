"""The batcher's end of the queue: it watches, claims, replies and keeps its lease.

Frames pass through unread. Each operation is one round trip; those that must not be half done are scripts. A reply of
another shape than the expected one is `QueueUnavailable`, as silence is.

More than 250 lines, because it has each operation of a batcher once, with the shape of what Redis answers.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from autobatch_shared.contract.capacity import MinuteBudget, PacingRules
from autobatch_shared.contract.errors import QueueOutOfMemory
from autobatch_shared.contract.frames import LEFT_SINCE, VERSION, Frames
from autobatch_shared.contract.keys import (
    BYTES_PER_INPUT,
    CLAIM_TTL_MS,
    DEAD_JOBS_MAX,
    DEAD_TTL_MS,
    EPOCH_TTL_MS,
    GONE_TTL_MS,
    PACE_MINUTES,
    RENEWED_WITHIN_MS,
    WAITING_TTL_MS,
    Keys,
)
from autobatch_shared.redis.clock import read_clock
from autobatch_shared.redis.commands import (
    UNPACK_VALUES_MAX,
    Command,
    Commands,
    Script,
    all_of,
    expected_shape,
    in_one_step,
)

NO_SHARE = 1_000_000_000
NOT_PACED = ""
PACED_BY = " ".join([f"{name}={number}" for name, number in asdict(PacingRules()).items()])
BUDGET_NUMBERS = [each.name for each in fields(MinuteBudget) if each.type in ("int", "float", int, float)]
ATTEMPTS_MAX = 3  # batchers that may die with one job before it is given up; before the last it travels alone, where there is time for that


@dataclass(frozen=True, slots=True)
class Claim:
    """What one claim brought.

    Attributes:
        redis_ms: Redis's clock at the claim.
        queued: Number of jobs still in the queue.
        queued_bulk: Number of jobs still in the bulk queue.
        dropped: Number of jobs that were not claimed, because their client had disconnected.
        malformed: Number of values of the queue that were no job.
        foreign: Number of jobs that were left to the batchers of their version.
        batchers: Number of batchers that have a lease, this one included.
        suspects_left: Number of suspects still in the queue.
        suspects: Frames of jobs that may have killed the batchers that had them.
        fresh: Frames of the queue, in the order of their arrival; first those that a batcher had which died.
        bulk: Frames of the bulk queue, in the order of their arrival.
        wait_ms: Milliseconds after which the upstream's budget allows a claim; 0 if it allowed this one.
        calls_left: Calls left of that budget; below 0 where there is no such limit, or more were made.
        tokens_left: Tokens left of it, in the same way.
    """

    redis_ms: int
    queued: int
    queued_bulk: int
    dropped: int
    malformed: int
    foreign: int
    batchers: int
    suspects_left: int
    suspects: Frames
    fresh: Frames
    bulk: Frames
    wait_ms: int = 0
    calls_left: int = -1
    tokens_left: int = -1


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a batcher learns when it renews its lease.

    Attributes:
        was_held: Whether it had the lease still, and with it the claims.
        redis_ms: Redis's clock, unix milliseconds.
        epoch: The mark of Redis's data; empty while there is none.
    """

    was_held: bool
    redis_ms: int
    epoch: bytes


class BatcherQueue:
    """The batcher's end of the queue.

    Args:
        link: The connection for commands that return at once.
        watch_link: The connection for the one blocking read.
        keys: The names of the namespace's keys.
        batcher: This batcher's id.
        lease_ms: Milliseconds after which the other batchers take over the jobs of a silent one.
        reply_ttl_ms: Milliseconds that a reply waits to be read.
    """

    def __init__(
        self, link: Commands, watch_link: Commands, keys: Keys, batcher: str, *, lease_ms: int, reply_ttl_ms: int
    ) -> None:
        self._link = link
        self._watch_link = watch_link
        self._batcher = batcher
        self._bell = keys.bell
        self._claimed = claimed = keys.claimed(batcher)
        self._leases = leases = keys.leases
        self._trial_key = keys.trial
        self._trial = Script("trial", (keys.trial,))
        self._dead = dead = keys.dead
        self._reply_prefix = keys.reply("")
        self._reply_ttl_ms = reply_ttl_ms
        self._claim = Script(
            "claim",
            (
                keys.jobs,
                keys.retry,
                keys.waiting,
                keys.gone,
                claimed,
                leases,
                keys.bell,
                keys.bulk,
                keys.waiting_bulk,
                keys.suspects,
                keys.pace(""),
            ),
            (
                batcher,
                lease_ms,
                CLAIM_TTL_MS,
                BYTES_PER_INPUT,
                WAITING_TTL_MS,
                GONE_TTL_MS,
                UNPACK_VALUES_MAX,
                VERSION,
                LEFT_SINCE,
            ),
        )
        self._announce = Script("announce", (claimed, keys.reply(""), keys.inbox("")), (reply_ttl_ms,))
        self._renew = Script("renew", (leases, claimed, keys.epoch), (batcher, lease_ms, CLAIM_TTL_MS, EPOCH_TTL_MS))
        self._give_back = Script("give_back", (claimed, keys.retry, keys.bell), (WAITING_TTL_MS,))
        self._reap = Script(
            "reap",
            (
                leases,
                keys.retry,
                claimed,
                dead,
                keys.batchers,
                keys.claimed(""),
                keys.attempts(""),
                keys.bell,
                keys.suspects,
            ),
            (
                batcher,
                lease_ms,
                ATTEMPTS_MAX,
                CLAIM_TTL_MS,
                DEAD_JOBS_MAX,
                DEAD_TTL_MS,
                max(lease_ms, RENEWED_WITHIN_MS),
                WAITING_TTL_MS,
            ),
        )

    async def watch(self, block_s: float) -> bool:
        """Wait until jobs come, up to `block_s` seconds, and leave them where they are.

        Of the batchers that wait one is woken, by what it takes from the bell. It has to claim: then another one is woken
        if jobs are left. If it dies before that, or if it has no use for a job, they wait for the next look of any batcher.
        """
        return await self._watch_link.execute(*self._watching(block_s)) is not None

    def _watching(self, block_s: float) -> Command:
        return "BLMPOP", str(block_s), 1, self._bell, "LEFT"

    async def ring(self) -> None:
        """Wake another batcher, by one that was woken and has no use for a job now."""
        bell = self._bell
        await in_one_step(self._link, ("DEL", bell), ("RPUSH", bell, ""), ("PEXPIRE", bell, WAITING_TTL_MS))

    async def claim(
        self,
        inputs: int,
        suspects: int,
        bulk: int = 0,
        fill: int = 0,
        at_once: int = NO_SHARE,
        budget: MinuteBudget | None = None,
    ) -> Claim:
        """Take the oldest jobs into this batcher's record.

        Args:
            inputs: Number of inputs wanted from the queue.
            suspects: Number of jobs wanted of those that may have killed the batchers that had them.
            bulk: Number of inputs wanted from the bulk queue, however many the queue has.
            fill: Inputs below which the bulk queue fills up what the queue did not give.
            at_once: Inputs that could be sent now; beyond them a batcher gets its share of the queue, not all of it.
            budget: What the upstream of these jobs may be asked; None: anything.
        """
        paced = NOT_PACED if budget is None else _paced(budget)
        return _claim_of(await self._claim.run(self._link, inputs, suspects, bulk, fill, at_once, paced))

    async def watch_and_claim(self, block_s: float, inputs: int, suspects: int, fill: int, at_once: int) -> Claim:
        """Wait as `watch` does, and claim as `claim` does in the moment when that ends, whether jobs came or not.

        One round trip and one wake-up less than the two, for a job that comes alone.
        """
        watching = self._watching(block_s)
        return _claim_of(
            await self._claim.run_behind(self._watch_link, watching, inputs, suspects, 0, fill, at_once, NOT_PACED)
        )

    async def reply(
        self,
        replies: Sequence[tuple[str, bytes]],
        failures: Sequence[tuple[str, bytes]] = (),
        dropped: Sequence[str] = (),
    ) -> int:
        """Store and announce (job, reply frame) pairs, and give up the claims; of `dropped` jobs only the claims.

        Replies do not go through the script: Lua would copy and hash each (4.5 us a frame of 4 kB). The first stored
        one of a job stands, so doing this twice changes nothing.

        Returns:
            How many came too late: their jobs had been given to another batcher.
        """
        ttl_ms, prefix = self._reply_ttl_ms, self._reply_prefix
        stores: list[Command] = [("SET", prefix + job, frame, "NX", "PX", ttl_ms) for job, frame in replies]
        others = [part for pair in (*failures, *((job, b"") for job in dropped)) for part in pair]
        try:
            late: int = await self._announce.run_after(
                self._link, stores, len(replies), *[job for job, _ in replies], *others
            )
        except QueueOutOfMemory:
            # Nothing was applied. The script makes room first: it takes each job out before it stores its answer.
            others = [part for pair in replies for part in pair] + others
            late = await self._announce.run(self._link, 0, *others)
        return late

    async def claimed(self) -> dict[str, bytes]:
        """Return everything that is claimed for this batcher: job -> frame."""
        flat = await self._link.execute("HGETALL", self._claimed)
        with expected_shape:
            return {job.decode(): frame for job, frame in zip(flat[::2], all_of(bytes, flat[1::2]), strict=True)}

    async def renew(self) -> Renewal:
        """Prolong the lease."""
        reply = await self._renew.run(self._link)
        with expected_shape:
            held, redis_ms = all_of(int, reply[:2])
            (epoch,) = all_of(bytes, reply[2:])
        return Renewal(bool(held), redis_ms, epoch)

    async def reap(self, step_ms: int = 0) -> tuple[int, Frames]:
        """Give the jobs of dead batchers back; return how many, and the frames of those to be given up by us.

        Args:
            step_ms: Milliseconds by which Redis's clock stepped ahead since this batcher's last beat, else 0.
        """
        reply = await self._reap.run(self._link, step_ms)
        with expected_shape:
            (given_back,) = all_of(int, reply[:1])
            return given_back, all_of(bytes, reply[1:])

    async def give_back(self, jobs: Sequence[str]) -> int:
        """Give claimed jobs, the youngest first, to the other batchers; return how many were claimed still."""
        return int(await self._give_back.run(self._link, *jobs))

    async def begin_trial(self, token: str, ttl_ms: int) -> bool:
        """Become the one attempt that tries suspects, for `ttl_ms` at most; False while another one is.

        To be asked with the same token after a failure, which may have become it.
        """
        return bool(await self._trial.run(self._link, token, ttl_ms))

    async def end_trial(self, token: str, linger_ms: int) -> None:
        """Let the next one try after `linger_ms`, unless another one does already."""
        await self._trial.run(self._link, token, linger_ms)

    async def is_trying(self) -> bool:
        """Whether any batcher is trying a suspect, or did so a moment ago and was hung up on."""
        return bool(await self._link.execute("EXISTS", self._trial_key))

    async def bury(self, frame: bytes) -> None:
        """Keep a job that is given up where a person can look at it."""
        dead = self._dead
        steps: list[Command] = [
            ("LPUSH", dead, frame),
            ("LTRIM", dead, 0, DEAD_JOBS_MAX - 1),
            ("PEXPIRE", dead, DEAD_TTL_MS),
        ]
        await in_one_step(self._link, *steps)

    async def sign_off(self) -> None:
        """End the lease at once, so that the jobs still claimed go to the others without delay."""
        await self._link.execute("ZADD", self._leases, "XX", 0, self._batcher)

    async def redis_ms(self) -> float:
        """Redis's clock, unix milliseconds."""
        return await read_clock(self._link)


def _paced(budget: MinuteBudget) -> str:
    """Return a budget as `claim.lua` has it."""
    numbers: dict[str, float | None] = {
        "life_ms": budget.minute_ms * PACE_MINUTES,
        "holds_jobs": int(budget.holds_jobs),
        **{name: getattr(budget, name) for name in BUDGET_NUMBERS},
    }
    for kind, said in (("calls", budget.calls_said), ("tokens", budget.tokens_said)):
        numbers |= {f"{kind}_most": said.most, f"{kind}_least": said.least, f"{kind}_reset_ms": said.reset_ms}
        numbers[f"{kind}_even"] = -1 if said.is_even is None else int(said.is_even)
    return " ".join([*[f"{name}={number}" for name, number in numbers.items()], PACED_BY, budget.upstream])


def _claim_of(reply: Any) -> Claim:
    """Return what `claim.lua` says."""
    with expected_shape:
        numbers = all_of(int, reply[:13])
        redis_ms, queued, queued_bulk, dropped, malformed, foreign, suspected, fresh, batchers, *rest = numbers
        suspects_left, wait_ms, calls_left, tokens_left = rest
        frames = all_of(bytes, reply[13:])
    first_bulk = suspected + fresh
    return Claim(
        redis_ms=redis_ms,
        queued=queued,
        queued_bulk=queued_bulk,
        dropped=dropped,
        malformed=malformed,
        foreign=foreign,
        batchers=batchers,
        suspects_left=suspects_left,
        suspects=frames[:suspected],
        fresh=frames[suspected:first_bulk],
        bulk=frames[first_bulk:],
        wait_ms=wait_ms,
        calls_left=calls_left,
        tokens_left=tokens_left,
    )
