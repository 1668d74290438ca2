"""Every target with its seeds: valid inputs, which are then damaged."""

from collections.abc import Callable
from typing import NamedTuple

from autobatch_shared.contract.frames import JobHeader, ReplyHeader, encode
from autobatch_shared.contract.options import Options
from tests.fuzz import answers, bodies, headers, stored
from tests.support.version_1 import OLD_JOBS

BytesCheck = Callable[[bytes], None]

_EMBED = (
    b'{"inputs":"a"}',
    b'{"inputs":["a","bb","cccccccc","","\\u00e9\\n"],"truncate":true,"normalize":false,"dimensions":7}',
    b'{"inputs":[[1,2],[3]],"truncation_direction":"Left","prompt_name":"q"}',
    b'{"inputs":["a",[1]],"x":{"inputs":[1e5,-0,null]}}',
    b'{"input":["a","b"],"model":"m"}',
    b'\xef\xbb\xbf{"inputs":"\xed\xa0\x80"}',
    b'{"inputs":"\\ud800","inp\\u0075ts":"b"}',
    b'{"inputs":[[7]],"x":"\\ud800"}} junk',
    b'[[7],null,"right",null,true,null] junk',
    b'{"x":[{"\xff":[1]}],"truncation_direction":{"Left":null},"inputs":["a",[7]]} x',
)
_OPENAI = (
    b'{"input":"a","model":"m","encoding_format":"base64","dimensions":3,"user":"u"}',
    b'{"input":["aa","b",""]}',
    b'{"input":[[1,2],[4294967295]]}',
    b'{"input":[1,2,3],"encoding_format":"float"}',
    b'{"input":[1,2,3],"encoding_format":{"float":null},"x":"\\ud800"} junk',
    b'[[1,2,3],"m",null,"float",null]',
)
_FOREIGN = (b'[{"query":"a"},{"query":"\\n","x":[1]}]', b'{"texts":["a","b"],"config":{}}', b'{"text":"a"}')
_ROWS = (
    b"[[0.1,-2e-7],[3,null]]",
    b" [ [1] ,\n[2],[3],[4],[5] ] ",
    b"[[[1,2],[3,4]],[[5,6]]]",
    b'[[{"index":1,"value":0.5}],[]]',
    b'[[{"score":0.5,"label":"a"}],[{"score":null,"label":"\\u00e9"}]]',
)
_REPLY = ReplyHeader(
    "w1.2", 200, "", "application/json", 5, 6, 7, [1, 2], {"x-compute-type": "gpu", "x-queue-time": "3"}
)
_RESP = (
    b"*3\r\n:0\r\n:0\r\n:0\r\n",
    b"*2\r\n$5\r\ninbox\r\n*1\r\n$3\r\nw.1\r\n",
    b"*2\r\n$10\r\n1790000000\r\n$6\r\n123456\r\n",
    b"*7\r\n:1\r\n:2\r\n:3\r\n:0\r\n:0\r\n:1\r\n$1\r\nf\r\n",
    b"*2\r\n$-1\r\n$1\r\nx\r\n",
    b"+OK\r\n-ERR no\r\n:1\r\n$-1\r\n",
    b"%1\r\n+a\r\n:1\r\n~1\r\n:1\r\n,1.5\r\n#t\r\n_\r\n(12\r\n>1\r\n+x\r\n",
)
_REPORT = (
    b'{"at":1000000000000,"held":0,"upstreams":[{"url":"u","is_healthy":true,"batch_inputs_max":8,"in_flight":0,'
    b'"info":{"model_id":"m","max_input_length":512}}],"drained_per_s":1.5}'
)


class FuzzTarget(NamedTuple):
    """A function that takes bytes.

    Attributes:
        check: Raises if an invariant is violated.
        seeds: The bytes to start from.
    """

    check: BytesCheck
    seeds: tuple[bytes, ...]


def _rest(header: JobHeader | ReplyHeader) -> bytes:
    """A frame without its checksum, which the target puts before it."""
    return encode(header, b'["a"]')[24:]


TARGETS: dict[str, FuzzTarget] = {
    "embed": FuzzTarget(bodies.check_embed, _EMBED),
    "embed_all": FuzzTarget(bodies.check_embed_all, _EMBED),
    "embed_sparse": FuzzTarget(bodies.check_embed_sparse, _EMBED),
    "predict": FuzzTarget(bodies.check_predict, (*_EMBED, b'{"inputs":[["a","b"],["c"]],"raw_scores":true}')),
    "openai": FuzzTarget(bodies.check_openai, _OPENAI),
    "queries": FuzzTarget(bodies.check_queries, _FOREIGN),
    "vectors": FuzzTarget(bodies.check_vectors, _FOREIGN),
    "content_type": FuzzTarget(
        bodies.check_content_type, (b"application/json", b'application/a+json; charset="utf-8"; x=y', b"text/\xff")
    ),
    "headers": FuzzTarget(
        headers.check_headers, (b"bulk", b"100", b"Bearer key", b"\xff\xfe", b"0.5, *", b"https://a.b")
    ),
    "shapes": FuzzTarget(bodies.check_shapes, _ROWS),
    "rows": FuzzTarget(answers.check_rows, _ROWS),
    "counts": FuzzTarget(answers.check_counts, (b'[[{"id":1}],[],[{},{}]]', b"12", b"[[{}]]")),
    "retry_after": FuzzTarget(answers.check_retry_after, (b"1", b"Wed, 21 Oct 2015 07:28:00 GMT", "\u0661".encode())),
    "errors": FuzzTarget(
        answers.check_errors,
        (
            b'{"error":"`inputs` cannot be empty","error_type":"Empty"}',
            b'{"message":"m","type":"t","error":{"message":1}}',
            b"inputs[0]: invalid type at line 1 column 2",
            b"\xff",
        ),
    ),
    "info": FuzzTarget(
        answers.check_info,
        (
            b'{"model_id":"m","model_sha":null,"max_client_batch_size":8,"max_concurrent_requests":512,"max_input_length":5}',
            b'{"model_type":{"embedding":{"pooling":"splade"}},"served_model_name":"s"}',
            b'{"model_type":{"reranker":{}},"max_input_length":1e5}',
        ),
    ),
    "frames": FuzzTarget(
        stored.check_frames,
        (
            encode(JobHeader("w1.2", 3, 1, 2, "/embed"), b'["a","b","c"]'),
            encode(_REPLY, b"[[1]]"),
            b'{"v":2,"crc":"',
            *(old.frame for old in OLD_JOBS),
        ),
    ),
    "framed": FuzzTarget(stored.check_framed, (_rest(JobHeader("w1.2", 3, 1, 2, "/embed")), _rest(_REPLY))),
    "replies": FuzzTarget(
        stored.check_replies, (_rest(_REPLY), _rest(ReplyHeader("w1.2", 0, "queue_full")), _rest(ReplyHeader("w", 422)))
    ),
    "jobs": FuzzTarget(
        stored.check_jobs, (_rest(JobHeader("w1.2", 3, 1, 2, "/embed", "solo", Options(normalize=False))),)
    ),
    "cached": FuzzTarget(stored.check_cached, (b"", b"[0.5,1]", b"00000000[1]")),
    "reports": FuzzTarget(
        stored.check_reports,
        (_REPORT,),
    ),
    "stream": FuzzTarget(stored.check_stream, _RESP),
    "commands": FuzzTarget(stored.check_commands, _RESP),
}
