"""Why Redis is unavailable, in words; and that the log says each reason without a flood of lines."""

import socket
import ssl

import pytest

from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.redis.commands import ReplyError
from autobatch_shared.redis.masters.outage import REASONS_MAX, REPEAT_S, RESET_BEHIND_ALERT_S, Outage, fault_words

REFUSED, RESET = ConnectionRefusedError(111, "Connect call failed"), ConnectionResetError(104, "reset by peer")


def broken_by(cause: Exception) -> QueueUnavailable:
    error = QueueUnavailable("The connection to the queue broke.")
    error.__cause__ = cause
    return error


def alert() -> ssl.SSLError:
    error = ssl.SSLError(1, "[SSL: SSLV3_ALERT_CERTIFICATE_EXPIRED] sslv3 alert certificate expired (_ssl.c:2580)")
    error.reason = "SSLV3_ALERT_CERTIFICATE_EXPIRED"
    return error


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] ...")
    error.verify_message = "certificate has expired"
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (broken_by(alert()), "tls: sslv3 alert certificate expired"),
        (untrusted(), "tls: certificate has expired"),
        (REFUSED, "ECONNREFUSED"),
        (socket.gaierror(-2, "Name or service not known"), "dns: Name or service not known"),
        (TimeoutError(), "no answer in time"),
        (OSError("Multiple exceptions: ..."), "Multiple exceptions: ..."),
        (ReplyError("WRONGPASS invalid username-password pair"), "WRONGPASS invalid username-password pair"),
        (QueueUnavailable("REDIS_URL: a file of it"), "REDIS_URL: a file of it"),
        (broken_by(ValueError("of our own")), "The connection to the queue broke."),
    ],
)
def test_a_fault_has_words(error: Exception, words: str) -> None:
    assert fault_words(error) == words


def test_each_reason_is_said_when_it_is_new() -> None:
    outage = Outage()
    assert [outage.note(error, 0.0) for error in (REFUSED, REFUSED, RESET)] == [True, False, True]
    assert outage.fault == "ECONNRESET"
    outage.end()
    assert outage.fault == ""
    assert outage.note(RESET, 0.0)


def test_reasons_that_take_turns_are_said_once_a_while() -> None:
    outage = Outage()
    said = [outage.note(error, step * REPEAT_S / 10) for step in range(10) for error in (REFUSED, RESET)]
    assert said == [True, True] + [False] * 18
    assert outage.note(REFUSED, REPEAT_S)


def test_a_reset_that_overtakes_the_alert_of_tls_does_not_hide_it() -> None:
    outage = Outage()
    assert [outage.note(error, 0.0) for error in (RESET, alert(), RESET, alert())] == [True, True, False, False]
    assert outage.fault == "tls: sslv3 alert certificate expired"
    outage.note(RESET, RESET_BEHIND_ALERT_S)
    assert outage.fault == "ECONNRESET"


def test_a_reason_that_differs_each_time_is_no_flood() -> None:
    outage = Outage()
    said = [outage.note(OSError(f"try {number}"), float(number)) for number in range(REASONS_MAX * 3)]
    assert sum(said) == REASONS_MAX
    assert outage.fault == f"try {REASONS_MAX * 3 - 1}"
