"""What is counted in plain Python is in the metric what the client library would have counted."""

import itertools
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.samples import Sample

from autobatch_shared.measuring.buckets import LATENCY_BUCKETS_S
from autobatch_shared.measuring.tally import Tally


def samples(registry: CollectorRegistry) -> list[Sample]:
    return [
        sample for metric in registry.collect() for sample in metric.samples if not sample.name.endswith("_created")
    ]


@given(values=st.lists(st.sampled_from([0.0, 0.0005, 0.0006, 0.1, 28.0, 30.0, 31.0]) | st.floats(0, 60)))
def test_a_tally_pours_what_a_histogram_would_have_observed(values: list[float]) -> None:
    observed, poured = CollectorRegistry(), CollectorRegistry()
    by_value = Histogram("h", "h", buckets=LATENCY_BUCKETS_S, registry=observed)
    at_once = Histogram("h", "h", buckets=LATENCY_BUCKETS_S, registry=poured)
    tally = Tally(LATENCY_BUCKETS_S)
    for value in values:
        by_value.observe(value)
        tally.total += value
        tally.counts[bisect_left(LATENCY_BUCKETS_S, value)] += 1

    assert tally.count == len(values)
    tally.pour_into(at_once)
    tally.pour_into(at_once)  # nothing is left to pour

    assert [each.value for each in samples(poured)] == pytest.approx([each.value for each in samples(observed)])


def test_each_bucket_is_a_quarter_wider_than_the_one_before() -> None:
    fine = LATENCY_BUCKETS_S[:-1]
    assert fine[0] == 0.0005
    assert fine[-1] > 10
    assert all(1.24 < wider / narrower < 1.26 for narrower, wider in itertools.pairwise(fine))
