"""Why a server is unavailable: in words, and how often a log says so."""

import errno
import socket
import ssl

from autobatch_shared.contract.status import NO_ANSWER

REPEAT_S = 60.0  # before a reason that has come back is worth another line
RESET_BEHIND_ALERT_S = 10.0  # a server that refuses a certificate closes at once: its reset may overtake its alert
REASONS_MAX = 16  # of an outage; one with more has words in them that differ each time


def fault_words(error: BaseException) -> str:
    """Return what went wrong, as `UpstreamError.cause` has it: `ECONNREFUSED`, `dns: ...`, `tls: ...`; else what the error says."""
    error = root_of(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"tls: {error.verify_message}"
    if isinstance(error, ssl.SSLError):  # of an alert that the server sent, such as SSLV3_ALERT_CERTIFICATE_EXPIRED
        return f"tls: {(error.reason or str(error)).lower().replace('_', ' ')}"
    if isinstance(error, TimeoutError):
        return NO_ANSWER
    if isinstance(error, socket.gaierror):
        return f"dns: {error.strerror}"
    if isinstance(error, OSError) and error.errno is not None:
        return errno.errorcode.get(error.errno, f"errno {error.errno}")
    return str(error) or type(error).__name__


def root_of(error: BaseException) -> BaseException:
    """Return what ended the connection, where that is why a command failed; else the error itself."""
    return error.__cause__ if isinstance(error.__cause__, OSError) else error


class Outage:
    """One server, or one group of them: whether it is unavailable, and why.

    Attributes:
        fault: Why, in words; empty: it is available.
    """

    def __init__(self) -> None:
        self.fault = ""
        self._alert_mono_s = float("-inf")
        self._said_last = ""
        self._said_mono_s: dict[str, float] = {}

    def note(self, error: BaseException, now_mono_s: float) -> bool:
        """Take note of a failure; return whether the log should say it: it is not what was said last, nor was it said a moment ago."""
        fault = fault_words(error)
        if fault == "ECONNRESET" and now_mono_s - self._alert_mono_s < RESET_BEHIND_ALERT_S:
            return False
        self.fault = fault
        if fault.startswith("tls: "):
            self._alert_mono_s = now_mono_s
        is_one_too_many = fault not in self._said_mono_s and len(self._said_mono_s) == REASONS_MAX
        was_said_lately = now_mono_s - self._said_mono_s.get(fault, float("-inf")) < REPEAT_S
        if fault == self._said_last or was_said_lately or is_one_too_many:
            return False
        self._said_last, self._said_mono_s[fault] = fault, now_mono_s
        return True

    def end(self) -> None:
        """Take note that it is available."""
        self.fault = self._said_last = ""
        self._alert_mono_s = float("-inf")
        self._said_mono_s.clear()
