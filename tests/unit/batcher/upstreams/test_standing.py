"""Which upstream may be called, and for which model each counts."""

from autobatch_batcher.upstreams.standing import NO_RECORD, NOT_LEARNT, Standing
from autobatch_shared.contract.models import ServedModel

OLD, NEW = (ServedModel(name * 8, name, "{}") for name in "ab")
COUNT_S = 30.0


def following(served: ServedModel | None, wanted: ServedModel = OLD) -> Standing:
    standing = Standing(COUNT_S)
    standing.wait_for_record()
    if served is not None:
        standing.learnt(served)
    standing.follow(wanted)
    return standing


def test_only_an_upstream_of_the_namespaces_model_may_be_called() -> None:
    assert following(OLD).reason == ""
    assert following(NEW).reason.startswith("it serves b bbbbbbbb and not a aaaaaaaa")
    assert following(None).reason == NOT_LEARNT


def test_none_may_be_called_before_the_namespaces_model_is_known() -> None:
    standing = Standing()
    standing.wait_for_record()
    assert standing.reason == NO_RECORD

    standing.learnt(OLD)

    assert standing.reason == NO_RECORD


def test_one_that_is_doubted_is_excluded_until_it_has_said_again() -> None:
    standing = following(OLD)
    standing.doubt()
    assert (standing.reason, standing.fingerprint) == (NOT_LEARNT, "")

    standing.learnt(OLD)

    assert standing.reason == ""


def test_an_upstream_counts_for_its_model_until_it_was_down_for_long() -> None:
    standing = following(OLD)
    standing.was_well(100.0)

    assert standing.counts_for(100.0 + COUNT_S - 1) == OLD.fingerprint
    assert standing.counts_for(100.0 + COUNT_S) == ""

    standing.was_well(200.0)
    assert standing.counts_for(201.0) == OLD.fingerprint


def test_one_that_is_doubted_still_counts_for_what_it_served() -> None:
    standing = following(OLD, wanted=NEW)
    standing.was_well(0.0)
    standing.doubt()

    assert standing.counts_for(1.0) == OLD.fingerprint


def test_one_that_was_never_seen_counts_for_the_namespaces_model() -> None:
    """It may be down as this batcher starts: a neighbour with another model must not take over at once."""
    standing = following(None)

    assert standing.counts_for(100.0) == OLD.fingerprint
    assert standing.counts_for(100.0 + COUNT_S) == ""


def test_only_one_that_was_seen_to_serve_a_model_keeps_it() -> None:
    assert following(OLD).keeps(OLD, 0.0)
    assert not following(NEW).keeps(OLD, 0.0)
    assert not following(None).keeps(OLD, 0.0)


def test_why_one_does_not_say_what_it_serves_is_shown_until_it_has() -> None:
    standing = following(OLD)
    standing.doubt("it answers 401")
    standing.follow(OLD)
    assert standing.reason == "it answers 401"

    standing.learnt(OLD)
    standing.doubt()

    assert standing.reason == NOT_LEARNT


def test_a_change_of_the_namespace_includes_those_that_went_ahead() -> None:
    standing = following(NEW)
    standing.follow(NEW)

    assert standing.reason == ""
