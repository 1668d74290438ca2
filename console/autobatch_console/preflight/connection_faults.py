"""Why a server could not be asked: an exception becomes a kind, and a kind a sentence. Pure."""

import errno
import re
import socket
import ssl
from collections.abc import Iterator
from typing import Literal, NamedTuple

ConnectionFaultKind = Literal[
    "unresolved",
    "refused",
    "silent",
    "unreachable",
    "untrusted",
    "expired",
    "misnamed",
    "asks_certificate",
    "no_tls",
    "tls_only",
    "no_grpc",
    "no_http",
    "hung_up",
    "missing",
    "denied",
    "other",
]

_BY_ERRNO: dict[int, ConnectionFaultKind] = {
    errno.ECONNREFUSED: "refused",
    errno.ETIMEDOUT: "silent",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.ECONNRESET: "hung_up",
    errno.EPIPE: "hung_up",
    errno.ENOENT: "missing",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
}
_TLS_FAILS = "TLS with {place} fails: {detail}"
#: What is wrong with a certificate otherwise than that its authority is not known (openssl/x509_vfy.h).
_BY_VERIFY_CODE: dict[int, ConnectionFaultKind] = {9: "expired", 10: "expired", 62: "misnamed", 64: "misnamed"}
#: A server that has read our certificate, or misses one, says so in an alert; before TLS 1.3 in one that may mean other things, too.
_ASKS_CERTIFICATE = re.compile(r"ALERT_(?:.*CERTIFICATE|HANDSHAKE_FAILURE|UNKNOWN_CA)")
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "PACKET_LENGTH")
#: How a client of HTTP/2 begins, as one of gRPC does: the preface, and settings without any (RFC 9113, 3.4 and 6.5).
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
GREETING_BYTES_MAX = 64  # of an answer: what it is its first bytes say
_SETTINGS_FRAME, _TLS_ALERT = 4, b"\x15\x03"
_SENTENCES: dict[ConnectionFaultKind, str] = {
    "unresolved": "the name of {place} cannot be resolved ({detail})",
    "refused": "{place} refuses connections, nothing listens there ({detail})",
    "silent": "{place} does not answer ({detail})",
    "unreachable": "{place} cannot be reached ({detail})",
    "untrusted": _TLS_FAILS,
    "expired": _TLS_FAILS,
    "misnamed": _TLS_FAILS,
    "asks_certificate": _TLS_FAILS,
    "no_tls": "TLS with {place} fails: it does not speak TLS ({detail})",
    "tls_only": "{place} speaks TLS only ({detail})",
    "no_grpc": "{place} does not speak gRPC ({detail})",
    "no_http": "{place} does not speak HTTP/1.1 ({detail})",
    "hung_up": "{place} closes the connection without an answer ({detail})",
    "missing": "{place} does not exist ({detail})",
    "denied": "{place} may not be opened ({detail})",
    "other": "{place} cannot be asked ({detail})",
}


class ConnectionFault(NamedTuple):
    """Why there was no answer.

    Attributes:
        kind: What decides which advice helps.
        detail: The name of the errno, or the words of TLS or of the resolver.
    """

    kind: ConnectionFaultKind
    detail: str

    def sentence(self, place: str) -> str:
        """Return what happened to the server at `place`."""
        return _SENTENCES[self.kind].format(place=place, detail=self.detail)


def fault_of(error: BaseException) -> ConnectionFault:
    """Return what the first cause in the chain of an exception says; libraries wrap the system's own several times."""
    for cause in _chain(error):
        if fault := _tls_fault(cause) or _system_fault(cause):
            return fault
    if any(word in str(error).lower() for word in ("closed", "disconnected")):
        return ConnectionFault("hung_up", "end of file")
    return ConnectionFault("other", type(error).__name__)


def fault_in_greeting(answer: bytes) -> ConnectionFault | None:
    """Return what is wrong with a server that answers GREETING so; None where it speaks HTTP/2."""
    if answer[3:4] == bytes((_SETTINGS_FRAME,)):
        return None
    if not answer:
        return ConnectionFault("hung_up", "end of file")
    if answer.startswith(_TLS_ALERT):
        return ConnectionFault("tls_only", "it answers with an alert of TLS")
    said = "it answers in HTTP/1.1" if answer.startswith(b"HTTP/1") else "it answers in another protocol"
    return ConnectionFault("no_grpc", said)


def _tls_fault(cause: BaseException) -> ConnectionFault | None:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return ConnectionFault(_BY_VERIFY_CODE.get(cause.verify_code, "untrusted"), cause.verify_message)
    if (
        isinstance(cause, ConnectionAbortedError) and cause.errno is None
    ):  # asyncio's, of a handshake that takes too long
        return ConnectionFault("no_tls", "the handshake gets no answer")
    if isinstance(cause, ssl.SSLError):
        reason = cause.reason or "no reason"
        if any(word in reason for word in _NOT_TLS):
            return ConnectionFault("no_tls", reason)
        return ConnectionFault("asks_certificate" if _ASKS_CERTIFICATE.search(reason) else "untrusted", reason)
    return None


def _system_fault(cause: BaseException) -> ConnectionFault | None:
    if isinstance(cause, socket.gaierror):
        return ConnectionFault("unresolved", cause.strerror or "no such name")
    if isinstance(cause, TimeoutError) and cause.errno is None:
        return ConnectionFault("silent", "no answer in time")
    if isinstance(cause, EOFError) or (
        isinstance(cause, ConnectionResetError) and cause.errno is None
    ):  # asyncio's, of a handshake that the server ends
        return ConnectionFault("hung_up", "end of file")
    number = _errno_of(cause) if isinstance(cause, OSError) else 0
    return ConnectionFault(_BY_ERRNO.get(number, "other"), errno.errorcode.get(number, str(number))) if number else None


def _errno_of(error: OSError) -> int:
    """The number of an error; asyncio joins those of several addresses into the words of one without a number."""
    found = re.search(r"\[Errno (\d+)\]", str(error)) if error.errno is None else None
    return int(found[1]) if found else error.errno or 0


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and what caused it, the deepest first."""
    inner = error.__cause__ or error.__context__
    if inner is not None:
        yield from _chain(inner)
    yield error
