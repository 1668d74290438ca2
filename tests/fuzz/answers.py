"""An upstream's answers: its own rows and numbers, or one clear error."""

import msgspec

from autobatch_batcher.calling.calls import part
from autobatch_batcher.dialects.base import Answer
from autobatch_batcher.dialects.tei import Tei
from autobatch_batcher.dialects.verdict import RETRY_PAUSES_S, retry_pause_s
from autobatch_batcher.upstreams.limits import configured, lowered
from autobatch_proxy.dialects.error_shapes import CODES, as_openai
from autobatch_proxy.dialects.tei_info import info_of
from autobatch_proxy.queue.fleet_watcher import ROOT_ROUTES
from autobatch_shared.contract.cards import UNKNOWN_MAX
from autobatch_shared.contract.errors import UpstreamProtocolError
from autobatch_shared.contract.models import decode_model, encode_model, model_of
from autobatch_shared.contract.status import BatcherStatus, Fleet, UpstreamStatus, encode
from tests.fuzz import strict_json

TEI = Tei()
ROUTES = ("/embed", "/embed_all", "/embed_sparse", "/predict")


def check_rows(data: bytes) -> None:
    """The rows of any answer, for any count, are those in the answer, in its order, and there is nothing else in it."""
    for route in ROUTES:
        for count in (1, 2, 5):
            try:
                rows = TEI.cut(_answer(data), route, count, ())
            except UpstreamProtocolError:
                continue
            assert len(rows) == count
            at = 0
            for row in rows:
                at = data.index(row, at) + len(row)
            said = strict_json.read(data)
            assert [strict_json.read(row) for row in rows] == said
            assert strict_json.read(part(rows, tuple(range(count)))) == said


def check_counts(data: bytes) -> None:
    for count in (1, 3):
        try:
            counts = TEI.counts(_answer(data), count)
        except UpstreamProtocolError:
            continue
        assert [len(row) for row in strict_json.read(data)] == counts
    header = {"x-compute-tokens": data.decode("utf-8", "surrogateescape")}
    said = TEI.counted(Answer(200, "", b"", None, header))
    assert said is None or 0 <= said < 10**12


def check_retry_after(data: bytes) -> None:
    pause_s = retry_pause_s(0, data.decode("utf-8", "surrogateescape"))
    assert 0 < pause_s <= RETRY_PAUSES_S[-1]


def check_errors(data: bytes) -> None:
    """Any body of an error, in OpenAI's format: JSON with every field, and its texts are strings."""
    for status in (400, 404, 418, 422, 500, 599):
        said = msgspec.json.decode(as_openai(status, data))
        assert said.keys() == {"error", "message", "type", "code"}
        assert said["error"].keys() == {"message", "type", "param", "code"}
        assert isinstance(said["message"], str)
        assert said["message"]
        assert isinstance(said["type"], str)
        assert said["code"] == status
        assert said["error"]["code"] == CODES.get(status)


def check_info(data: bytes) -> None:
    """Any `/info`: valid limits, and a report that every worker can read."""
    card = TEI.card(data)
    limits = lowered(configured(32, 2_000_000), card)
    assert 1 <= limits.inputs_max <= 32
    assert limits.in_flight_inputs_max >= limits.inputs_max
    assert limits.input_tokens_max >= 1
    model = model_of(card, 384)
    assert model == decode_model(encode_model(model))
    report = encode(BatcherStatus(1_000, 0, [UpstreamStatus("u", True, limits.inputs_max, 0, card=card)]))
    fleet = Fleet([report], 1_000)
    assert fleet.is_healthy
    check_fleet(fleet)


def check_fleet(fleet: Fleet) -> None:
    """Workers must not fail on it later."""
    assert 1 <= fleet.batch_inputs_max
    assert 1 <= fleet.input_tokens_max <= UNKNOWN_MAX or fleet.input_tokens_max > 0
    assert fleet.card.kind in ROOT_ROUTES
    msgspec.json.encode(fleet.card.name)
    msgspec.json.decode(info_of(fleet.card.about or {}, 7))


def _answer(body: bytes) -> Answer:
    return Answer(200, "application/json", body, None)
