"""What an upstream answers: its own rows and numbers, or one clear error."""

import msgspec

from autobatch_batcher.calling.counting import counted_alone, counts_in
from autobatch_batcher.dialects.merging import part
from autobatch_batcher.dialects.rows import cut
from autobatch_batcher.dialects.verdict import RETRY_PAUSES_S, retry_pause_s
from autobatch_batcher.upstreams.limits import configured, lowered
from autobatch_proxy.dialects.error_shapes import CODES, as_openai
from autobatch_shared.contract.cache_names import model_identity
from autobatch_shared.contract.errors import UpstreamProtocolError
from autobatch_shared.contract.status import UNKNOWN_MAX, BatcherStatus, Fleet, UpstreamStatus, encode, raw_json
from tests.fuzz import strict_json

ROUTES = ("/embed", "/embed_all", "/embed_sparse", "/predict")


def check_rows(data: bytes) -> None:
    """The rows of any answer, for any count, are in the answer, in its order, and it has nothing else."""
    for route in ROUTES:
        for count in (1, 2, 5):
            try:
                rows = cut(data, count, route)
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
            counts = counts_in(data, count)
        except UpstreamProtocolError:
            continue
        assert [len(row) for row in strict_json.read(data)] == counts
    (*said,) = counted_alone({"x-compute-tokens": data.decode("utf-8", "surrogateescape")})
    assert all(0 <= number < 10**12 for number in said)


def check_retry_after(data: bytes) -> None:
    pause_s = retry_pause_s(0, data.decode("utf-8", "surrogateescape"))
    assert 0 < pause_s <= RETRY_PAUSES_S[-1]


def check_errors(data: bytes) -> None:
    """Any body of an error, in OpenAI's shape: JSON with every field, and texts that are texts."""
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
    """Any `/info`: limits that are limits, and a report that every worker can read."""
    limits = lowered(configured(32, 2_000_000), data)
    assert 1 <= limits.inputs_max <= 32
    assert limits.in_flight_inputs_max >= limits.inputs_max
    assert limits.input_tokens_max >= 1
    identity = model_identity([data, data])
    assert identity is None or identity == model_identity([data])
    report = encode(BatcherStatus(1_000, 0, [UpstreamStatus("u", True, limits.inputs_max, 0, raw_json(data))]))
    fleet = Fleet([report], 1_000)
    assert fleet.is_healthy
    check_fleet(fleet)


def check_fleet(fleet: Fleet) -> None:
    """What workers do with it must not fail later."""
    assert 1 <= fleet.batch_inputs_max(32) <= 32
    assert 1 <= fleet.input_tokens_max <= UNKNOWN_MAX or fleet.input_tokens_max > 0
    assert fleet.alias in (*ROUTES, "/rerank")
    msgspec.json.encode(fleet.served_model)
    if fleet.info is not None:
        msgspec.json.decode(fleet.info)
