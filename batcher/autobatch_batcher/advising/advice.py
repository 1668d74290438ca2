"""What follows from what was found, in words and figures: the verdict, the best calls, and what they cost. Pure."""

from collections.abc import Sequence
from itertools import product

import msgspec

from autobatch_batcher.advising.direct_run import WARM_UP_SHARE, ListLoop
from autobatch_batcher.advising.law_fit import predicted_s
from autobatch_batcher.advising.measuring.measured import Measured, clients_in_words
from autobatch_batcher.advising.prediction import ExpectedGain, FoundLaw
from autobatch_batcher.simulating.fixed_policies import FixedPolicy, run_fixed
from autobatch_batcher.simulating.law import SimulatedLaw
from autobatch_batcher.simulating.score import score

WORTH = 1.05  # a gain below it is none
BEST_FOR_CLIENTS = 64
SIZES, CALLS = (1, 2, 4, 8, 16, 32), (1, 2, 4)
AS_GOOD = 0.97  # of the best: then smaller and fewer calls are better
KNEE = 1.1  # times what a text costs at least, in calls of the best size
RUN_REQUESTS = 600
REFUSED_MAX = 0.01  # more than that, and a target is not kept but enforced
BUSY = 0.15  # of the cores, by others: then figures are worth less
DRIFTING = 1.15
UNEXPLAINED = 0.15
UNKNOWN = 0.4  # what the law misses by more is no basis for a verdict


class Advice(msgspec.Struct, frozen=True):
    """What the user is told.

    Attributes:
        verdict: One sentence.
        costs: What the server's work costs, a sentence each.
        doubts: Why the figures may be wrong, a sentence each.
        batch: Texts of a call that are best for BEST_FOR_CLIENTS clients.
        calls: Calls at a time that are best for them.
        is_target_kept: Whether some of the clients get the p99 that was asked for; True where none was.
    """

    verdict: str
    costs: tuple[str, ...]
    doubts: tuple[str, ...]
    batch: int
    calls: int
    is_target_kept: bool = True


def advise(
    measured: Measured, found: FoundLaw, gains: Sequence[ExpectedGain], target_p99_ms: int | None = None
) -> Advice:
    """Return what follows.

    Args:
        measured: What was measured.
        found: The law that explains it.
        gains: What is expected, by clients, ascending.
        target_p99_ms: What 99 of 100 requests should take at most; None: nothing is asked for.
    """
    batch, calls = _best_calls(found.law, measured)
    missed = max(found.call_error, found.load_error)
    verdict = verdict_of(gains, measured.texts_kind)
    if missed > UNKNOWN:
        verdict = f"cannot be said: no law explains what was measured to within {missed:.0%}; measure again when nothing else uses the machine"
    kept = [] if target_p99_ms is None else _fit(gains, target_p99_ms)
    if target_p99_ms is not None and missed <= UNKNOWN:
        verdict += f"; {_within(gains, kept, target_p99_ms)}"
    costs, doubts = tuple(_costs(measured, found.law, batch, calls)), tuple(_doubts(measured, found))
    return Advice(verdict, costs, doubts, batch, calls, is_target_kept=target_p99_ms is None or bool(kept))


def verdict_of(gains: Sequence[ExpectedGain], texts_kind: str) -> str:
    """Return one sentence: the best gain, below how many clients there is none, and where more of them lose."""
    measured = [each for each in gains if each.is_measured]
    if not measured:
        return f"cannot be said of {texts_kind}: no number of clients could be measured; give it more --seconds"
    most = measured[-1].clients
    beyond = "" if measured[-1] is gains[-1] else f"; more than {clients_in_words(most)} were not measured"
    best = max(measured, key=lambda each: each.gain)
    useful = [each for each in measured if each.gain >= WORTH and each.low > 1]
    if not useful and best.gain >= WORTH:
        return (
            f"cannot be told with {texts_kind}: {best.gain:.2f} x at {clients_in_words(best.clients)}, but between {best.low:.2f} and "
            f"{best.high:.2f}; measure again when nothing else uses the machine{beyond}"
        )
    if not useful:
        return f"of no use with {texts_kind}: {best.gain:.2f} x at best, at {clients_in_words(best.clients)}{beyond}"
    best = max(useful, key=lambda each: each.gain)
    first = useful[0].clients
    said = f"{best.gain:.1f} x at {clients_in_words(best.clients)} with {texts_kind}{_where_refused(best)}"
    said += f"; of no use below {first}" if first > 1 else ""
    lossy = [each for each in measured if each.clients > first and each.high < 1]
    if lossy:
        worst = min(lossy, key=lambda each: each.gain)
        said += f"; {worst.gain:.2f} x at {clients_in_words(worst.clients)}{_where_refused(worst)}"
    return said + beyond


def _where_refused(gain: ExpectedGain) -> str:
    return f", where {gain.refused:.0%} are refused" if gain.refused > REFUSED_MAX else ""


def _fit(gains: Sequence[ExpectedGain], target_ms: int) -> list[int]:
    """Return how many clients get it through the proxy."""
    return [each.clients for each in gains if each.proxied_p99_ms <= target_ms and each.refused <= REFUSED_MAX]


def _within(gains: Sequence[ExpectedGain], kept: Sequence[int], target_ms: int) -> str:
    ways = {
        "through the proxy": kept,
        "directly": [each.clients for each in gains if each.direct_p99_ms <= target_ms],
    }
    said = [
        f"{way} {f'up to {clients_in_words(max(fit))}' if fit else 'at no number of clients'}"
        for way, fit in ways.items()
    ]
    return f"p99 within {target_ms} ms {' and '.join(said)}"


def _best_calls(law: SimulatedLaw, measured: Measured) -> tuple[int, int]:
    """Return the size of calls and their number at a time that do most for BEST_FOR_CLIENTS clients, with like lengths together."""
    lists = [(length,) for length in measured.lengths]
    lists = lists[::2] + lists[1::2][::-1]
    mean_s = sum(predicted_s(law, each) for each in lists) / len(lists)
    seconds = max(2.0, RUN_REQUESTS * mean_s / law.parallel)
    done = {}
    for calls, size in product(CALLS, (each for each in SIZES if each <= measured.inputs_max)):
        policy = FixedPolicy(size, calls, is_sorted=True)
        history = run_fixed(law, ListLoop(BEST_FOR_CLIENTS, lists), policy, seconds)
        done[size, calls] = score(history, WARM_UP_SHARE * seconds, seconds).goodput
    most = max(done.values())
    return min((each for each, rate in done.items() if rate >= AS_GOOD * most), key=lambda each: (each[1], each[0]))


def _costs(measured: Measured, law: SimulatedLaw, batch: int, calls: int) -> list[str]:
    per_token, usual = measured.characters_per_token, measured.lengths[len(measured.lengths) // 2]
    unit = f"{law.per_unit_us * per_token:.1f} us a token" if per_token else f"{law.per_unit_us:.2f} us a character"
    call_ms = law.fixed_ms + law.beside_ms + law.per_call_ms
    said = [f"a call costs {call_ms:.2f} ms, a text {law.per_input_us / 1e3:.2f} ms, and its length {unit}"]
    longest = (
        "each text of a call costs as much as the longest" if law.is_padded else "each text costs by its own length"
    )
    passes = f"; texts of all calls are computed {law.pass_inputs_max} at a time" if law.pass_inputs_max else ""
    said.append(f"it {'pads' if law.is_padded else 'does not pad'}: {longest}{passes}")
    if law.parallel > 1:
        said.append(f"it computes {law.parallel} calls at the same time without making each of them slower")
    if law.cores > 1:
        said.append(
            f"it divides calls of {law.cores * law.part_units} characters or more, and texts of unlike lengths, into parts: {law.cores} at the same time"
        )
    if law.knee_units:
        said.append(f"up to {law.knee_units} characters in a call their number costs nothing")
    if law.cut_units:
        said.append(f"it cuts texts at about {law.cut_units} characters")
    said.append(
        f"its knee is at {_knee(law, usual, measured.inputs_max)} texts of {usual} characters in a call: more make a text no cheaper"
    )
    said.append(f"best for {BEST_FOR_CLIENTS} clients: {batch} texts of like length in a call, {calls} at a time")
    return said


def _knee(law: SimulatedLaw, length: int, inputs_max: int) -> int:
    """Return the least texts in a call that make a text about as cheap as any number does."""
    each_s = {size: predicted_s(law, (length,) * size) / size for size in SIZES if size <= inputs_max}
    return next(size for size, own_s in each_s.items() if own_s <= KNEE * min(each_s.values()))


def _doubts(measured: Measured, found: FoundLaw) -> list[str]:
    said = []
    if (measured.busy_before or 0) > BUSY:
        said.append(f"others used {measured.busy_before:.0%} of this machine's cores before anything was measured")
    if found.drift > DRIFTING:
        said.append(f"the server was {found.drift:.1f} times slower in one half of the time than in the other")
    if found.call_error > UNEXPLAINED:
        said.append(f"single calls took {found.call_error:.0%} more or less than the law says that was found")
    if found.load_error > UNEXPLAINED:
        said.append(f"clients got {found.load_error:.0%} more or less than the law says that was found")
    if failed := sum(load.failed for load in measured.loads):
        said.append(f"{failed} requests failed")
    if short := [load.clients for load in measured.loads if load.is_single and not load.is_whole]:
        said.append(
            f"{clients_in_words(min(short))} or more got fewer answers than there are texts, so it depends on which they were: give it more --seconds"
        )
    if any(len(call.seconds) < 3 for call in measured.calls):
        said.append("some calls were made fewer than three times: give it more --seconds")
    return said
