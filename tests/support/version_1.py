"""What a worker and a batcher of version 1 wrote, byte for byte."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OldJob:
    """A job of a worker of version 1."""

    id: str
    frame: bytes


OLD_JOBS = (
    OldJob(
        "w1.1",
        b'{"v":1,"crc":"dc2c3324","id":"w1.1","n":1,"at":1790000000000,"deadline":4000000000000,"route":"/embed"}\n["text"]',
    ),
    OldJob(
        "w1.2",
        b'{"v":1,"crc":"1f330354","id":"w1.2","n":2,"at":1790000000000,"deadline":4000000000000,"route":"/embed",'
        b'"options":"\\"normalize\\":false","longest":4}\n["one","two"]',
    ),
    OldJob(
        "w1.3",
        b'{"v":1,"crc":"31de506c","id":"w1.3","n":1,"at":1790000000000,"deadline":4000000000000,"route":"/embed",'
        b'"kind":"verbatim","content_type":"application/json"}\n{"inputs":"text"}',
    ),
)

OLD_REPLY = b'{"v":1,"crc":"13a16579","id":"w1.1","status":200}\n[[1.0]]'


def old_report(at_ms: int) -> bytes:
    """Return what a batcher of version 1 publishes of itself at that time, unix ms of Redis's clock."""
    return (
        b'{"at":%d,"held":0,"upstreams":[{"url":"http://u:80","is_healthy":true,"batch_inputs_max":32,"in_flight":0,'
        b'"info":{"model_id":"m"}}],"drained_per_s":0.0}'
    ) % at_ms
