"""What is sent to the HTTP edge, and which answers are allowed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.support.raw_http import chunked, request

#: In every body, and in no log.
SECRET = b"canary-7f3a"
TEXT = b'{"inputs":"%b"}' % SECRET
MB = 1_000_000

LIMIT_S = 25.0  # for an answer or the end of the connection; less than the 30 s after which all else would end it

CLOSED = 0  # without an answer
OLD = 9  # HTTP/0.9 has no statuses

TE = b"Transfer-Encoding: chunked"
SOON = b"x-request-timeout-ms: 1000"  # for bodies that never arrive completely
LATE = (408, 504)  # what a busy machine may answer then to one that did


@dataclass(frozen=True)
class AbuseCase:
    """One case.

    Attributes:
        send: All of it.
        allowed: Statuses of the first answer.
        stops_sending: Whether our half of the connection is closed afterwards.
    """

    send: Callable[[], Iterable[bytes]]
    allowed: set[int]
    stops_sending: bool = False


def case(sent: bytes, *allowed: int, stops_sending: bool = False) -> AbuseCase:
    return AbuseCase(lambda: [sent], set(allowed), stops_sending)


def body(data: bytes, *allowed: int) -> AbuseCase:
    return case(request(data), *allowed)


def lines(*said: bytes, allowed: tuple[int, ...] = (400,)) -> AbuseCase:
    return case(request(TEXT, *said), *allowed)


def raw_chunks(data: bytes, *allowed: int) -> AbuseCase:
    return case(request(b"", TE, SOON, length=False) + data, *allowed, *LATE)


def large(*said: bytes, chunks: bool) -> AbuseCase:
    """100 MB, whose end no process should wait for."""
    part = b"x" * 65_536
    head = request(b"", *said, length=False)

    def send() -> Iterable[bytes]:
        yield head
        for _ in range(1526):
            yield chunked(part)[:-5] if chunks else part

    return AbuseCase(send, {413})


FRAMING = {
    "both lengths": case(request(b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nX: ", TE), 400),
    "both lengths, other order": case(
        request(b"", TE, b"Content-Length: 4", length=False) + b"5c\r\nGPOST / HTTP/1.1\r\n", 400
    ),
    "transfer-encoding twice": case(request(b"", TE, TE, length=False) + chunked(TEXT), 400, 501),
    "transfer-encoding unknown": case(
        request(b"", b"Transfer-Encoding: xchunked", length=False) + chunked(TEXT), 400, 501
    ),
    "transfer-encoding list": case(
        request(b"", b"Transfer-Encoding: identity, chunked", SOON, length=False) + chunked(TEXT), 200, 400, 501, *LATE
    ),
    "transfer-encoding with a space": case(
        request(b"", b"Transfer-Encoding : chunked", length=False) + chunked(TEXT), 400
    ),
    "transfer-encoding with a tab": case(
        request(b"", b"Transfer-Encoding:\x0bchunked", length=False) + chunked(TEXT), 400, 501
    ),
    "lengths that differ": lines(b"Content-Length: 3"),
    "lengths that agree": lines(b"Content-Length: %d" % len(TEXT)),
    "length as a list": case(request(TEXT, b"Content-Length: 26, 26", length=False), 400),
    "length with a sign": case(request(TEXT, b"Content-Length: +26", length=False), 400),
    "length below nothing": case(request(TEXT, b"Content-Length: -1", length=False), 400),
    "length in hex": case(request(TEXT, b"Content-Length: 0x1a", length=False), 400),
    "length beyond 64 bits": case(
        request(TEXT, b"Content-Length: 99999999999999999999999", SOON, length=False), 400, 413
    ),
    "length of an exabyte": case(request(TEXT, b"Content-Length: 999999999999999999", SOON, length=False), 413),
    "chunk extension": raw_chunks(b"1a;%b=%b\r\n%b\r\n0\r\n\r\n" % (SECRET, b"e" * 500, TEXT), 200, 400),
    "chunk extension of 100 kB": raw_chunks(
        b"1a;%b\r\n%b\r\n0\r\n\r\n" % (b"e" * 100_000, TEXT), 200, 400, 408, CLOSED
    ),
    "chunk too short": raw_chunks(b"5\r\n%b\r\n0\r\n\r\n" % TEXT, 400, CLOSED),
    "chunk size below nothing": raw_chunks(b"-1\r\n%b\r\n0\r\n\r\n" % TEXT, 400),
    "chunk size in C": raw_chunks(b"0x1a\r\n%b\r\n0\r\n\r\n" % TEXT, 400),
    "chunk size of nothing": raw_chunks(b"\r\n%b\r\n0\r\n\r\n" % TEXT, 400, CLOSED),
    "chunk size beyond 64 bits": raw_chunks(b"fffffffffffffffff\r\n%b" % TEXT, 400, 413),
    "chunk size of an exabyte": raw_chunks(b"7ffffffffffffff\r\n%b" % TEXT, 400, 408, 413, CLOSED),
    "chunk size with LF only": raw_chunks(b"1a\n%b\r\n0\r\n\r\n" % TEXT, 200, 400, CLOSED),
    "chunks end without an end": raw_chunks(b"1a\r\n%b\r\n" % TEXT, 408, CLOSED),
    "trailers": raw_chunks(b"1a\r\n%b\r\n0\r\nX-Request-Id: t\r\nContent-Length: 9\r\n\r\n" % TEXT, 200, 400),
    "folded header": lines(b"X-A: b\r\n c: d", allowed=(200, 400)),
    "lines end with LF": case(request(TEXT).replace(b"\r\n", b"\n"), 200, 400),
    "lines end with CR": case(request(TEXT).replace(b"\r\n", b"\r") + b"\r\n\r\n", 400),
    "upgrade to another protocol": lines(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", allowed=(200, 400)),
}

HEADS = {
    "a header of 100 kB": lines(b"X-A: " + SECRET * 10_000, allowed=(400, 431)),
    "a name of 100 kB": lines(SECRET * 10_000 + b": a", allowed=(400, 431)),
    "a path of 100 kB": case(request(start=b"GET /%b HTTP/1.1" % (b"p" * 100_000)), 414, 431),
    "10,000 headers": lines(*(b"X-%d: a" % number for number in range(10_000)), allowed=(400, 431)),
    "1,000 cookies": lines(*([b"Cookie: a=b"] * 1000), allowed=(200, 400, 431)),
    "NUL in a value": lines(b"X-A: a\0b"),
    "NUL in a name": lines(b"X\0A: b", allowed=(200, 400)),
    "NUL in the path": case(request(start=b"GET /\0 HTTP/1.1"), 400),
    "NUL, escaped, in the path": case(request(start=b"GET /%00 HTTP/1.1"), 400, 404),
    "no name": lines(b": b", allowed=(200, 400)),
    "no colon": lines(b"x", allowed=(200, 400)),
    "no host": case(request(TEXT).replace(b"Host: a\r\n", b""), 200, 400),
    "two hosts": lines(b"Host: b"),
    "a method with a space": case(request(start=b"GE T / HTTP/1.1"), 400),
    "a method of control bytes": case(request(start=b"\x01\x02 / HTTP/1.1"), 400),
    "a method of 100 kB": case(request(start=b"A" * 100_000 + b" / HTTP/1.1"), 400, 414),
    "an unknown method": case(request(start=b"BREW /embed HTTP/1.1"), 400, 405),
    "TRACE": case(request(start=b"TRACE / HTTP/1.1"), 400, 405),
    "CONNECT": case(request(start=b"CONNECT a:443 HTTP/1.1"), 400, 404, 405),
    "absolute form": case(request(TEXT, start=b"POST http://other.example/embed HTTP/1.1"), 200, 400),
    "asterisk form": case(request(start=b"OPTIONS * HTTP/1.1"), 200, 400, 404),
    "dots in the path": case(request(start=b"GET /../../etc/passwd HTTP/1.1"), 400, 404),
    "dots, escaped, in the path": case(request(start=b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1"), 400, 404),
    "bytes in the path": case(request(start=b"GET /\xff\xfe HTTP/1.1"), 400, 404),
    "half an escape in the path": case(request(start=b"GET /%f HTTP/1.1"), 400, 404),
    "HTTP/0.9": case(b"GET /health\r\n\r\n", OLD, 400, CLOSED),
    "HTTP/1.0": case(request(TEXT, start=b"POST /embed HTTP/1.0"), 200),
    "HTTP/1.2": case(request(TEXT, start=b"POST /embed HTTP/1.2"), 200, 400, 505),
    "HTTP/9.9": case(request(TEXT, start=b"POST /embed HTTP/9.9"), 400, 505),
    "HTTP/2 preface": case(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 405, 505, CLOSED),
    "TLS": case(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), 400),
    "Redis": case(b"*1\r\n$4\r\nPING\r\n", 400),
    "noise": case(bytes(range(256)) * 40 + b"\r\n\r\n", 400),
    "an id of other bytes": lines(b"x-request-id: \xff\xfe \x80", allowed=(200,)),
    "an id of 4 kB": lines(b"x-request-id: " + b"i" * 4000, allowed=(200,)),
    "an agent of other bytes": lines(b'User-Agent: \xff\xfe"\\', allowed=(200,)),
    "a priority of other bytes": lines(b"x-priority: \xff\xfe", allowed=(422,)),
    "a time of other bytes": lines(b"x-request-timeout-ms: \xc2\xb2", allowed=(422,)),
    "a type of other bytes": case(request(TEXT, b"Content-Type: \xff\xfe", is_json=False), 415),
    "a type that goes on": case(request(TEXT, b"Content-Type: application/json; charset=\xff", is_json=False), 415),
    "a key of other bytes": lines(b"Authorization: Bearer \xff\xfe" + SECRET, allowed=(200,)),
    "an origin of other bytes": lines(b"Origin: https://\xff\xfe", allowed=(200,)),
    "an encoding": lines(b"Content-Encoding: gzip", allowed=(200, 400)),
    "a range": lines(b"Range: bytes=0-0", allowed=(200,)),
    "expects to go on": lines(b"Expect: 100-continue", allowed=(200,)),
    "expects something else": lines(b"Expect: a miracle", allowed=(200, 417)),
}

BODIES = {
    "nothing": body(b"", 400),
    "half a surrogate pair": body(b'{"inputs":"\\ud800"}', 400),
    "half a surrogate pair in bytes": body(b'{"inputs":"\xed\xa0\x80"}', 400),
    "byte order mark": body(b"\xef\xbb\xbf" + TEXT, 400),
    "UTF-16": body(TEXT.decode().encode("utf-16"), 400),
    "NaN": body(b'{"inputs":"a","x":NaN}', 400),
    "infinity": body(b'{"inputs":"a","dimensions":Infinity}', 400),
    "1e999": body(b'{"inputs":"a","x":1e999}', 200, 400),
    "keys twice": body(b'{"inputs":"a","inputs":"%b"}' % SECRET, 200, 400, 422),
    "nested 100,000 deep": body(b'{"inputs":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
    "objects 100,000 deep": body(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 422),
    "2 MB of open lists": body(b"[" * 1_999_999, 400),
    "a key of 1 MB": body(b'{"%b":1,"inputs":"a"}' % (b"k" * MB), 200),
    "a number of 1 MB": body(b'{"inputs":"a","x":%b}' % (b"9" * MB), 200, 400),
    "dimensions of 1 MB": body(b'{"inputs":"a","dimensions":%b}' % (b"9" * MB), 200, 400),
    "990,000 token ids": body(b'{"inputs":[%b1]}' % (b"1," * 990_000), 200),
    "490,000 lists of a token id": body(b'{"inputs":[%b[1]]}' % (b"[1]," * 490_000), 422),
    "2,048 empty texts": body(b'{"inputs":[%b""]}' % (b'"",' * 2047), 400),
    "2,049 texts": body(b'{"inputs":[%b"a"]}' % (b'"a",' * 2048), 422),
    "600,000 texts": body(b'{"inputs":[%b"a"]}' % (b'"",' * 600_000), 422),
    "2 MB of combining characters": body(b'{"inputs":"%b"}' % ("\u0301".encode() * 990_000), 200),
    "2 MB of escapes": body(b'{"inputs":"%b"}' % (b"\\u0301" * 330_000), 200),
    "2 MB of blanks": body(b" " * 1_900_000 + TEXT, 200),
    "a byte too many": body(b'{"inputs":"%b"}' % (b"a" * (2 * MB - 12)), 413),
    "2 MB and its name to splice": body(b'{"input":"%b"}' % (b"a" * (2 * MB - 12)), 200, 400, 413, 422),
    "OpenAI: nothing": case(request(b"", start=b"POST /v1/embeddings HTTP/1.1"), 200, 400),
    "OpenAI: too many": case(
        request(b'{"input":[%b"a"]}' % (b'"a",' * 2048), start=b"POST /v1/embeddings HTTP/1.1"), 422
    ),
    "predict: pairs": case(
        request(b'{"inputs":[%b["a","b"]]}' % (b'["a","b"],' * 150_000), start=b"POST /predict HTTP/1.1"), 422
    ),
    "vertex: nested": case(request(b'{"instances":%b' % (b"[" * 100_000), start=b"POST /vertex HTTP/1.1"), 200, 400),
    "vectors: nested": case(request(b'{"text":%b' % (b"[" * 100_000), start=b"POST /vectors HTTP/1.1"), 400, 422),
}  # fmt: skip

CUT = {
    "half-closed after a request": case(request(TEXT), 200, CLOSED, stops_sending=True),
    "cut in the request line": case(b"POST /emb", 400, CLOSED, stops_sending=True),
    "cut in the head": case(request(TEXT)[:40], 400, CLOSED, stops_sending=True),
    "cut in the body": case(request(TEXT + SECRET)[:-5], 400, CLOSED, stops_sending=True),
    "cut in a chunk": case(
        request(b"", TE, length=False) + chunked(TEXT)[:9], 400, CLOSED, stops_sending=True
    ),
    "a body that does not come": case(request(TEXT, SOON)[:-5], 408, CLOSED),
    "100 MB": large(b"Content-Length: 100007936", chunks=False),
    "100 MB in chunks": large(TE, chunks=True),
    "100 MB that asks before": AbuseCase(
        lambda: [request(b"", b"Content-Length: 100007936", b"Expect: 100-continue", SOON, length=False)], {413}
    ),
}  # fmt: skip

CASES = {**FRAMING, **HEADS, **BODIES, **CUT}
