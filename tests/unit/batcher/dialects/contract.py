"""What every dialect must do, whatever its upstream's bytes look like. A dialect's tests inherit this class."""

from abc import abstractmethod
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.dialects.base import Answer, Dialect
from autobatch_batcher.dialects.verdict import Verdict
from autobatch_batcher.upstreams.limits import configured, lowered
from autobatch_shared.contract.errors import UpstreamProtocolError
from autobatch_shared.contract.options import Options
from autobatch_shared.contract.status import BatcherStatus, Fleet, UpstreamStatus, encode

TEXTS = st.lists(st.text(max_size=8).map(msgspec.json.encode), min_size=1, max_size=5, unique=True)
OPTIONS = st.none() | st.builds(Options, normalize=st.booleans())


def answer(body: bytes, status: int = 200) -> Answer:
    """Return an answer without headers of note."""
    return Answer(status, "application/json", body, None)


class DialectContract:
    """Inherit, and say which dialect it is and how its upstream answers."""

    dialect: Dialect

    @abstractmethod
    def said(self, vectors: Sequence[Sequence[float]]) -> bytes:
        """Return how the upstream writes the vectors of one call of `/embed`."""

    @given(inputs=TEXTS, options=OPTIONS)
    def test_a_call_holds_each_input_as_it_was_written(self, inputs: list[bytes], options: Options | None) -> None:
        post = self.dialect.compose("/embed", inputs, options)

        assert post.path.startswith("/")
        assert all(each in post.body for each in inputs)
        assert msgspec.json.decode(post.body) is not None

    @given(inputs=TEXTS, options=OPTIONS)
    def test_the_bytes_of_a_call_are_known_before_it_is_made(
        self, inputs: list[bytes], options: Options | None
    ) -> None:
        """Or a batch is larger than the upstream takes, and every request in it gets a 413."""
        length = len(self.dialect.compose("/embed", inputs, options).body)

        assert length <= self.dialect.envelope_bytes(options) + sum(len(each) + 1 for each in inputs)

    @given(st.lists(st.lists(st.integers(-9, 9), min_size=3, max_size=3), min_size=1, max_size=5))
    def test_rows_are_cut_in_the_order_of_the_inputs(self, vectors: list[list[float]]) -> None:
        rows = self.dialect.cut(answer(self.said(vectors)), "/embed", len(vectors), ())

        assert [msgspec.json.decode(row) for row in rows] == vectors

    @pytest.mark.parametrize("count", [1, 3])
    def test_another_number_of_rows_is_the_upstreams_fault(self, count: int) -> None:
        with pytest.raises(UpstreamProtocolError):
            self.dialect.cut(answer(self.said([[1.0], [2.0]])), "/embed", count, ())

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

    @given(st.binary())
    def test_any_description_gives_a_card_that_workers_can_read(self, said: bytes) -> None:
        """And it only ever lowers the limits."""
        card, ours = self.dialect.card(said), configured(32, 10**6)
        report = encode(BatcherStatus(1, 0, [UpstreamStatus("u", True, 1, 0, card=card)]))

        limits = lowered(ours, card)

        assert Fleet([report], 1).card == card
        assert 1 <= limits.inputs_max <= ours.inputs_max
        assert limits.in_flight_inputs_max >= limits.inputs_max

    @given(st.binary())
    def test_any_bytes_are_counts_or_one_clear_error(self, body: bytes) -> None:
        if self.dialect.ask_counts([b'"a"']) is None:
            return
        try:
            counts = self.dialect.counts(answer(body), 1)
        except UpstreamProtocolError:
            return
        assert len(counts) == 1
