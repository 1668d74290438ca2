"""What one upstream may be asked in a minute, UPSTREAM_RPM and UPSTREAM_TPM, as far as this batcher knows. Pure; time is passed in.

1. The budget is one for all batchers, in Redis: each claim takes a call and its jobs' tokens off, or brings no jobs and the time
   after which there is enough. What was used counts for a minute, as `claim.lua` says.
2. A claim guesses a job's tokens (`token_guess.py`). What the upstream counted, and each call that no claim was for, as of a retry or
   a half, is made good at the next claim.
3. Some tokens are left over, for a call that has more than was guessed: the upstream would refuse all of it.
4. What the upstream says is left (`said_limits.py`) goes along with the next claim: others ask it, too, or it has forgotten what we have not.
   Not so what it says without the limit and without a reset: that may be left of ten seconds, as with Azure.
5. So does a call that it refused though enough should be left: it counts in shorter spans than minutes.
"""

from collections.abc import Mapping
from hashlib import sha256

from autobatch_batcher.tuning.token_guess import TokenGuess
from autobatch_shared.contract.capacity import CALLS, NOT_SAID, TOKENS, MinuteBudget, SaidLeft, SaidLimit

MINUTE_MS = 60_000
NEWS_WEIGHT = 0.2  # of one call's tokens in what an input usually has
KEPT_ERRORS = 3.0  # of how far guesses were off, in tokens that are left over
KEPT_SHARE_MIN, KEPT_SHARE_MAX = 0.005, 0.03  # of a minute's tokens; the least are for those of questions about health
EVEN_OFF, EVEN_OFF_SHARE = (
    1,
    0.01,
)  # by which a count may differ from what the time until its reset says, and of the limit
EVEN_SHARE_MAX = 0.75  # of the limit


class Pacing:
    """The budget of one upstream.

    Args:
        name: The upstream's name, its URL without credentials.
        calls: Calls in a minute; None: there is no limit.
        tokens: Tokens in a minute; None: there is no limit.
    """

    def __init__(self, name: str, calls: int | None, tokens: int | None) -> None:
        self._id = sha256(name.encode()).hexdigest()[:16]
        self._calls = calls or 0
        self._tokens = tokens or 0
        self._granted_calls = 0  # and not made; below 0: made, and not granted
        self._used_tokens = 0  # beyond those that were granted
        self._returned_calls = 0  # that the upstream refused and does not count
        self._owed_tokens = 0  # that were granted for calls that the upstream refused
        self._said: dict[str, SaidLimit] = {}
        self._of_spans: set[str] = set()  # kinds whose headers may be of a shorter span than a minute
        self._said_s = self._asked_s = 0.0  # when that came, and when its call was sent
        self._own_tokens = 0  # of that call
        self._is_short = (
            False  # it refused a call for what it said is left: others use it, and what comes back is not ours
        )
        self._refused, self._refused_s = 0, 0.0  # calls, though enough should be left, and when the last was sent
        self._tokens_an_input = 0.0
        self._guess = TokenGuess()
        self._left = (0, 0, 0.0)  # calls, tokens, and when, in seconds
        self._sent = (0, 0, 0, 0, 0)
        self._sent_said = self._said

    @property
    def counts_calls(self) -> bool:
        """Whether calls are limited, so that they had better be full."""
        return self._calls > 0

    @property
    def needs_call(self) -> bool:
        """Whether the next call has to be granted first."""
        return self._owed_tokens > 0 or (self._calls > 0 and self._granted_calls <= 0)

    def budget(self, now_s: float, *, holds_jobs: bool = False) -> MinuteBudget:
        """Return what to send with a claim; `claimed` has to follow if it did not fail.

        Args:
            now_s: The time now.
            holds_jobs: Whether jobs are held for which a call is needed though the claim brings none.
        """
        calls_used = max(-self._granted_calls, 0)
        self._sent = calls_used, self._used_tokens, self._refused, self._owed_tokens, self._returned_calls
        self._sent_said = self._said
        return MinuteBudget(
            upstream=self._id,
            calls=self._calls,
            tokens=self._tokens,
            minute_ms=MINUTE_MS,
            calls_used=calls_used - self._returned_calls,
            tokens_used=self._sent[1],
            calls_needed=int(self._granted_calls <= 0),
            calls_said=self._said_of(CALLS, self._calls),
            tokens_said=self._said_of(TOKENS, self._tokens),
            asked_ms=int((now_s - self._asked_s) * 1000) if self._said else -1,
            said_ms=int((now_s - self._said_s) * 1000) if self._said else -1,
            own_tokens=self._own_tokens,
            refused_ms=int((now_s - self._refused_s) * 1000) if self._refused else -1,
            refused=self._refused,
            tokens_owed=self._owed_tokens,
            tokens_an_input=self._guess.an_input,
            bytes_a_token=self._guess.bytes_a_token,
            tokens_kept=self._kept(),
            holds_jobs=holds_jobs,
        )

    def claimed(self, calls_left: int, tokens_left: int, now_s: float, *, is_granted: bool) -> None:
        """Take note of what came of the claim that the last budget was sent with.

        Args:
            calls_left: Calls that all batchers have left, as the claim found it.
            tokens_left: Tokens that they have left.
            now_s: The time now.
            is_granted: Whether it brought jobs, or was for those that are held, and the budget allowed it.
        """
        needed_call = self._granted_calls <= 0
        self._granted_calls += self._sent[0]
        self._used_tokens -= self._sent[1]
        self._refused -= self._sent[2]
        self._returned_calls -= self._sent[4]
        if self._sent_said is self._said:
            self._said, self._is_short = {}, False
        if is_granted:
            self._granted_calls += needed_call
            self._owed_tokens -= self._sent[3]
        self._left = calls_left, tokens_left, now_s

    def called(self) -> None:
        """Take note of a call."""
        self._granted_calls -= 1

    def counted(self, tokens: int | None, charged: int, inputs: int, size_bytes: int) -> None:
        """Take note of a good answer.

        Args:
            tokens: The call's tokens, as the upstream counted them; None: it did not.
            charged: Tokens that the claims of its jobs took off the budget.
            inputs: Number of its inputs.
            size_bytes: Their bytes.
        """
        if tokens is None:
            return
        self._used_tokens += tokens - charged
        self._guess.learn(tokens, inputs, size_bytes)
        news = tokens / max(inputs, 1)
        weight = NEWS_WEIGHT if self._tokens_an_input else 1.0
        self._tokens_an_input += weight * (news - self._tokens_an_input)

    def told(self, said: Mapping[str, SaidLimit], charged: int, asked_s: float, now_s: float) -> None:
        """Take note of what the upstream said with an answer.

        Args:
            said: Of each limit, by CALLS and TOKENS.
            charged: Tokens that the claims of its jobs took off the budget.
            asked_s: When the call was sent.
            now_s: The time now.
        """
        for kind, each in said.items():
            if each.limit is not None:
                self._of_spans.discard(kind)
            elif each.reset_s is None:
                self._of_spans.add(kind)
        if of_minute := self._of_minute(said):
            self._said, self._own_tokens, self._asked_s, self._said_s = of_minute, charged, asked_s, now_s

    def refused(self, said: Mapping[str, SaidLimit], tokens: int, asked_s: float) -> None:
        """Take note of a refusal; `tokens` are those that were granted for the call, the others are as of `told`."""
        if self._tokens:
            self._used_tokens -= tokens
            self._owed_tokens += tokens
        said = self._of_minute(said)
        self._returned_calls += CALLS in said  # else it may count what it refuses
        needed = {CALLS: 1, TOKENS: max(tokens, 1)}
        if all(each.left >= needed[kind] for kind, each in said.items()):
            self._refused += 1
            self._refused_s = max(self._refused_s, asked_s)
        else:
            self._is_short = True

    def inputs_a_second(self, call_inputs_max: int) -> float:
        """Return how many inputs all batchers may send in a second, by and by; 0 while that is unknown."""
        rates: list[float] = []
        if self._calls:
            rates.append(self._calls * call_inputs_max)
        if self._tokens and self._tokens_an_input:
            rates.append(self._tokens / self._tokens_an_input)
        return min(rates, default=0.0) * 1000 / MINUTE_MS

    def inputs_left(self, call_inputs_max: int, now_s: float) -> int:
        """Return how many inputs the budget allows at once, as far as the last claim and the time since show it."""
        calls_left, tokens_left, left_s = self._left
        amounts = []
        if self._calls:
            amounts.append(_grown(calls_left, self._calls, now_s - left_s) * call_inputs_max)
        if self._tokens and self._tokens_an_input:
            amounts.append(int(_grown(tokens_left, self._tokens, now_s - left_s) / self._tokens_an_input))
        return max(min(amounts, default=0), 0)

    def _of_minute(self, said: Mapping[str, SaidLimit]) -> dict[str, SaidLimit]:
        """What was said of limits that can be those of a minute."""
        return {kind: each for kind, each in said.items() if kind not in self._of_spans}

    def _kept(self) -> int:
        """Tokens of a minute that are left over."""
        kept = max(KEPT_ERRORS * self._guess.error, self._tokens * KEPT_SHARE_MIN)
        return int(min(kept, self._tokens * KEPT_SHARE_MAX))

    def _said_of(self, kind: str, limit: int) -> SaidLeft:
        """What the upstream said of a limit, if it can be that of a minute."""
        said = self._said.get(kind)
        if said is None:
            return NOT_SAID
        is_ours = said.left <= limit and (said.limit is None or said.limit <= limit)
        reset_ms = -1 if said.reset_s is None else int(min(said.reset_s * 1000, MINUTE_MS))
        if not is_ours:
            return SaidLeft(min(said.left, limit))
        return SaidLeft(said.left, said.left, reset_ms, not self._is_short and _is_even(said, limit))


def _is_even(said: SaidLimit, limit: int) -> bool | None:
    """Whether what was used comes back evenly, by when all of it is back.

    None: of so little, or of nearly all that may be used, anything may take so long.
    """
    if said.reset_s is None:
        return None
    if said.limit not in (None, limit):
        return False
    used, off = limit - said.left, max(EVEN_OFF, EVEN_OFF_SHARE * limit)
    if not 2 * off < used <= EVEN_SHARE_MAX * limit:
        return None
    return abs(used - limit * said.reset_s * 1000 / MINUTE_MS) <= off


def _grown(left: int, limit: int, passed_s: float) -> int:
    """What is left of a limit when so much time has passed without a call."""
    return int(min(left + limit * passed_s * 1000 / MINUTE_MS, limit))
