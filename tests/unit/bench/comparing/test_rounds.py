"""From runs to figures: counts, medians of pairs of rounds, sentences about bad answers, parts of a request's time."""

from collections import Counter

import pytest

from autobatch_bench.comparing.rounds import Round, Spread, difference, faults, ratio, summed_up
from autobatch_bench.comparing.sides import parts_ms
from autobatch_bench.load.outcome import NO_ANSWER, LoadOutcome, percentile_ms
from autobatch_bench.systems.server_timing import batch_buckets, batches_between, in_flight_inputs, median_parts_ms
from autobatch_bench.systems.server_timing import parts_ms as parts_of

METRICS = """# TYPE autobatch_batch_inputs histogram
autobatch_batch_inputs_bucket{le="1.0"} 2.0
autobatch_batch_inputs_bucket{le="8.0"} 5.0
autobatch_batch_inputs_bucket{le="+Inf"} 6.0
autobatch_batch_inputs_count 6.0
autobatch_in_flight_inputs 31.0
"""


def round_of(side: str, outcome: LoadOutcome | None = None, **parts: float) -> Round:
    head = ", ".join(f"{name};dur={ms}" for name, ms in parts.items())
    outcome = outcome or LoadOutcome(1.0, [0.01] * 10)
    outcome.heads = [f"HTTP/1.1 200 OK\r\nServer-Timing: {head}\r\nX: y\r\n\r\n".encode()] if parts else []
    return summed_up(side, "short", "1 in flight", outcome, {"worker": 0.001})


def at(side: str, count: int) -> Round:
    return round_of(side, LoadOutcome(1.0, [1 / count] * count))


def test_wrong_and_failed_answers_are_counted_apart() -> None:
    outcome = LoadOutcome(2.0, [0.1] * 10, wrong=3, failed=Counter({503: 2, NO_ANSWER: 1}))
    found = round_of("proxy", outcome)
    assert (found.right, found.wrong, found.failed, found.bad) == (7, 3, {503: 2, 0: 1}, 6)
    assert found.per_second == 3.5
    assert faults([found]) == ["proxy: 3 wrong answers", "proxy: 1 times no answer", "proxy: 2 times status 503"]


def test_an_upstream_asked_directly_may_refuse_and_the_proxy_may_not() -> None:
    def refusing() -> LoadOutcome:
        return LoadOutcome(1.0, [0.1], failed=Counter({429: 5}))

    assert (round_of("direct", refusing()).refused, round_of("direct", refusing()).bad) == (5, 0)
    assert (round_of("proxy", refusing()).refused, round_of("proxy", refusing()).bad) == (0, 5)


def test_cpu_time_is_of_each_right_answer() -> None:
    assert round_of("proxy").cpu_us == {"worker": pytest.approx(100.0)}


def test_a_ratio_is_that_of_neighbouring_rounds() -> None:
    pairs = [{"direct": at("direct", d), "proxy": at("proxy", p)} for d, p in ((100, 90), (10, 20), (50, 50))]
    assert ratio(pairs, "proxy", "direct") == Spread(1.0, 0.9, 2.0)
    assert difference(pairs, "proxy", "direct", "p50_ms").low == pytest.approx(-50)


@pytest.mark.parametrize(("share", "expected"), [(0.5, 51), (0.99, 100), (0, 1)])
def test_a_percentile_is_a_latency_that_was(share: float, expected: float) -> None:
    assert percentile_ms([number / 1000 for number in range(100, 0, -1)], share) == pytest.approx(expected)


def test_a_header_is_read_in_any_case_and_may_be_absent() -> None:
    assert parts_of(b"HTTP/1.1 200 OK\r\nserver-timing: queue;dur=1.5, upstream;dur=20\r\n\r\n") == {
        "queue": 1.5,
        "upstream": 20.0,
    }
    assert parts_of(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n") == {}
    assert median_parts_ms([]) == {}


def test_a_requests_time_is_parted() -> None:
    pairs = [{"proxy": round_of("proxy", queue=2.0, upstream=5.0), "nginx": at("nginx", 80)}]
    parts = parts_ms(pairs)
    assert parts == pytest.approx({"queue": 2.0, "upstream": 5.0, "worker": 3.0, "nginx": 2.5})


def test_without_the_header_what_is_behind_nginx_is_not_parted() -> None:
    assert parts_ms([{"proxy": round_of("proxy")}]) == pytest.approx({"behind nginx": 10.0})


def test_batches_are_counted_by_bucket_and_only_those_of_the_meantime() -> None:
    after = batch_buckets(METRICS)
    assert after == {"1.0": 2.0, "8.0": 5.0, "+Inf": 6.0}
    assert batches_between({"1.0": 2.0, "8.0": 3.0, "+Inf": 3.0}, after) == {"1.0": 0.0, "8.0": 2.0, "+Inf": 1.0}
    assert batches_between({"1.0": 1.0, "8.0": 4.0, "+Inf": 5.0}, after) == {"1.0": 1.0}
    assert batches_between({}, {}) == {}


def test_requests_in_flight_are_read_from_a_workers_metrics() -> None:
    assert in_flight_inputs(METRICS) == 31
    assert in_flight_inputs("") == 0
