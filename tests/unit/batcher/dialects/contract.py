"""What every dialect must do, whatever its upstream's bytes look like. A dialect's tests inherit this class."""

from abc import abstractmethod
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from autobatch_batcher.dialects.base import Answer, Condition, Dialect, Post
from autobatch_batcher.dialects.verdict import Verdict
from autobatch_batcher.upstreams.limits import configured, lowered
from autobatch_shared.contract.errors import InvalidRequest, NotComputed, UpstreamProtocolError
from autobatch_shared.contract.options import Options
from autobatch_shared.contract.status import BatcherStatus, Fleet, UpstreamStatus, encode

TEXTS = st.lists(st.text(max_size=8).map(msgspec.json.encode), min_size=1, max_size=5, unique=True)
OPTIONS = st.none() | st.builds(Options, dimensions=st.none() | st.integers(1, 2**63 - 1))

#: Each dialect runs the same test by itself: hypothesis must not take them for one.
every_dialect = settings(suppress_health_check=[HealthCheck.differing_executors])


def answer(body: bytes, status: int = 200) -> Answer:
    """Return an answer without headers of note."""
    return Answer(status, "application/json", body, None)


class DialectContract:
    """Inherit, and say which dialect it is and how its upstream answers."""

    dialect: Dialect

    @abstractmethod
    def said(self, vectors: Sequence[Sequence[float]]) -> bytes:
        """Return how the upstream writes the vectors of one call of `/embed`."""

    def composed(self, inputs: list[bytes], options: Options | None) -> Post:
        """Return a call of `/embed`; options that the dialect refuses are no example."""
        try:
            return self.dialect.compose("/embed", inputs, options)
        except InvalidRequest:
            reject()

    def holds(self, call: bytes, text: bytes) -> bool:
        """Whether a call has this input, a JSON string."""
        return text in call

    @every_dialect
    @given(inputs=TEXTS, options=OPTIONS)
    def test_a_call_holds_each_input_as_it_was_written(self, inputs: list[bytes], options: Options | None) -> None:
        post = self.composed(inputs, options)

        assert post.path.startswith("/")
        assert all(self.holds(post.body, each) for each in inputs)

    def test_options_that_are_not_defaults_are_in_the_call(self) -> None:
        """Or the dialect refuses them: a vector computed without them is another one."""
        plain = self.dialect.compose("/embed", [b'"a"'], None)
        for options in (
            Options(normalize=False),
            Options(dimensions=7),
            Options(truncate=False),
            Options(prompt_name="q"),
        ):
            try:
                assert self.dialect.compose("/embed", [b'"a"'], options) != plain
            except (InvalidRequest, UpstreamProtocolError):
                continue

    def test_its_paths_and_bounds_are_such(self) -> None:
        assert all(question.path.startswith("/") for question in (self.dialect.ask_health, *self.dialect.ask_card))
        assert 0 <= self.dialect.growth_bytes_max < 1_000

    @pytest.mark.parametrize("route", ["/embed", "/rerank", "/no-such-route"])
    def test_what_travels_as_it_came_is_a_call_or_one_clear_error(self, route: str) -> None:
        try:
            post = self.dialect.pass_on(route, b"{", "application/json")
        except (InvalidRequest, NotComputed, UpstreamProtocolError):
            return
        assert post.path.startswith("/")

    @pytest.mark.parametrize("status", range(100, 600, 7))
    def test_an_answer_that_is_understood_has_a_status_and_says_how_the_upstream_is(self, status: int) -> None:
        understood = self.dialect.understood(answer(b"{}", status))

        assert 100 <= understood.status < 600
        assert self.dialect.understood(understood) == understood
        assert isinstance(self.dialect.condition(understood), Condition)
        assert self.dialect.counted(understood) is None or understood.status == 200

    @every_dialect
    @given(st.binary())
    def test_an_error_is_never_a_row(self, body: bytes) -> None:
        """Whatever the upstream says with status 200: it is rows, or understood as an error, or refused."""
        understood = self.dialect.understood(answer(body))
        if understood.status != 200:
            return
        try:
            (row,) = self.dialect.cut(understood, "/embed", 1, ())
        except UpstreamProtocolError:
            return
        assert isinstance(msgspec.json.decode(row), list)

    @every_dialect
    @given(inputs=TEXTS, options=OPTIONS)
    def test_the_bytes_of_a_call_are_known_before_it_is_made(
        self, inputs: list[bytes], options: Options | None
    ) -> None:
        """Or a batch is larger than the upstream takes, and every request in it gets a 413."""
        length = len(self.composed(inputs, options).body)

        assert length <= self.dialect.envelope_bytes(options) + sum(len(each) + 1 for each in inputs)

    @every_dialect
    @given(st.lists(st.lists(st.integers(-9, 9), min_size=3, max_size=3), min_size=1, max_size=5))
    def test_rows_are_cut_in_the_order_of_the_inputs(self, vectors: list[list[float]]) -> None:
        rows = self.dialect.cut(answer(self.said(vectors)), "/embed", len(vectors), ())

        assert [msgspec.json.decode(row) for row in rows] == vectors

    @pytest.mark.parametrize("count", [1, 3])
    def test_another_number_of_rows_is_the_upstreams_fault(self, count: int) -> None:
        with pytest.raises(UpstreamProtocolError):
            self.dialect.cut(answer(self.said([[1.0], [2.0]])), "/embed", count, ())

    @every_dialect
    @given(st.binary())
    def test_any_bytes_are_rows_or_one_clear_error(self, body: bytes) -> None:
        try:
            rows = self.dialect.cut(answer(body), "/embed", 1, ())
        except UpstreamProtocolError:
            return
        assert len(rows) == 1

    @pytest.mark.parametrize("status", range(100, 600, 7))
    @pytest.mark.parametrize("jobs", [1, 2])
    @pytest.mark.parametrize("may_retry", [True, False])
    def test_a_verdict_can_be_carried_out(self, status: int, jobs: int, *, may_retry: bool) -> None:
        verdict = self.dialect.judge(answer(b"", status), jobs, is_verbatim=False, may_retry=may_retry)

        assert verdict is not Verdict.SPLIT or jobs > 1
        assert verdict is not Verdict.RETRY or may_retry
        assert (verdict is Verdict.CUT) == (status == 200)

    @every_dialect
    @given(st.sampled_from((500, 502, 503, 504)), st.binary())
    def test_a_failure_never_says_that_the_upstream_works(self, status: int, said: bytes) -> None:
        assert not self.dialect.is_well(status, said)

    @every_dialect
    @given(st.binary())
    def test_any_description_gives_a_card_that_workers_can_read(self, said: bytes) -> None:
        """And it only ever lowers the limits."""
        card, ours = self.dialect.card(*[said] * len(self.dialect.ask_card)), configured(32, 10**6)
        report = encode(BatcherStatus(1, 0, [UpstreamStatus("u", True, 1, 0, card=card)]))

        limits = lowered(ours, card)

        assert Fleet([report], 1).card == card
        assert 1 <= limits.inputs_max <= ours.inputs_max
        assert limits.in_flight_inputs_max >= limits.inputs_max

    @every_dialect
    @given(st.binary())
    def test_any_bytes_are_counts_or_one_clear_error(self, body: bytes) -> None:
        if self.dialect.ask_counts([b'"a"']) is None:
            return
        try:
            counts = self.dialect.counts(answer(body), 1)
        except UpstreamProtocolError:
            return
        assert len(counts) == 1
