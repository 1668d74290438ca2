"""An exception as a kind and a sentence."""

import errno
import socket
import ssl

import pytest

from autobatch_console.preflight.connection_faults import fault_of


def wrapped(error: BaseException) -> BaseException:
    """As a library raises it: inside an error of its own."""
    outer = RuntimeError("cannot connect")
    outer.__cause__ = error
    return outer


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    error.reason = reason
    return error


def unverified(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, f"certificate verify failed: {message}")
    error.verify_code, error.verify_message = code, message
    return error


@pytest.mark.parametrize(
    ("error", "kind", "detail"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "refused", "ECONNREFUSED"),
        (
            OSError("Multiple exceptions: [Errno 111] Connect call failed, [Errno 111] Connect"),
            "refused",
            "ECONNREFUSED",
        ),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "hung_up", "ECONNRESET"),
        (OSError(errno.EHOSTUNREACH, "no route"), "unreachable", "EHOSTUNREACH"),
        (FileNotFoundError(errno.ENOENT, "no file"), "missing", "ENOENT"),
        (PermissionError(errno.EACCES, "denied"), "denied", "EACCES"),
        (TimeoutError(errno.ETIMEDOUT, "timed out"), "silent", "ETIMEDOUT"),
        (TimeoutError(), "silent", "no answer in time"),
        (EOFError(), "hung_up", "end of file"),
        (socket.gaierror(-2, "Name or service not known"), "unresolved", "Name or service not known"),
        (tls_error("WRONG_VERSION_NUMBER"), "no_tls", "WRONG_VERSION_NUMBER"),
        (tls_error("NO_PROTOCOLS_AVAILABLE"), "untrusted", "NO_PROTOCOLS_AVAILABLE"),
        (tls_error("TLSV1_ALERT_UNKNOWN_CA"), "asks_certificate", "TLSV1_ALERT_UNKNOWN_CA"),
        (tls_error("SSLV3_ALERT_CERTIFICATE_EXPIRED"), "asks_certificate", "SSLV3_ALERT_CERTIFICATE_EXPIRED"),
        (tls_error("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "asks_certificate", "TLSV13_ALERT_CERTIFICATE_REQUIRED"),
        (tls_error("SSLV3_ALERT_HANDSHAKE_FAILURE"), "asks_certificate", "SSLV3_ALERT_HANDSHAKE_FAILURE"),
        (unverified(10, "certificate has expired"), "expired", "certificate has expired"),
        (unverified(9, "certificate is not yet valid"), "expired", "certificate is not yet valid"),
        (unverified(62, "Hostname mismatch"), "misnamed", "Hostname mismatch"),
        (unverified(64, "IP address mismatch"), "misnamed", "IP address mismatch"),
        (unverified(18, "self-signed certificate"), "untrusted", "self-signed certificate"),
        (ConnectionResetError(), "hung_up", "end of file"),
        (ConnectionAbortedError("SSL handshake is taking longer"), "no_tls", "the handshake gets no answer"),
        (RuntimeError("Server disconnected"), "hung_up", "end of file"),
        (ValueError("?"), "other", "ValueError"),
    ],
)
def test_the_cause_is_found_inside_what_a_library_raises(error: BaseException, kind: str, detail: str) -> None:
    assert fault_of(error) == (kind, detail)
    if kind != "other" and not isinstance(error, RuntimeError):
        assert fault_of(wrapped(wrapped(error))) == (kind, detail)


def test_the_sentence_names_the_place_and_the_errno() -> None:
    fault = fault_of(ConnectionRefusedError(errno.ECONNREFUSED, "refused"))
    assert fault.sentence("gpu:80") == "gpu:80 refuses connections, nothing listens there (ECONNREFUSED)"
