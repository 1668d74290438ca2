"""The relay between a client and the system: every byte passes, and the requests are kept."""

import http.client
import http.server
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.clients.harness.recorder import Exchange, Recorder, recording

CALLERS = 100


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with the body that it got; of `/chunked` in chunks, of `/end` until the connection's end."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        if self.headers.get("transfer-encoding") == "chunked":
            body = b""
            while length_bytes := int(self.rfile.readline(), 16):
                body += self.rfile.read(length_bytes)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200 if body else 400)
        self.send_header("X-Batch-Size", str(len(body)))
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            middle = len(body) // 2
            for part in (body[:middle], body[middle:], b""):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
            return
        if self.path == "/end":
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class EchoServer(http.server.ThreadingHTTPServer):
    request_queue_size = CALLERS
    daemon_threads = True


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with EchoServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        with recording(f"http://127.0.0.1:{server.server_port}") as running:
            yield running
        server.shutdown()
        thread.join()


def connected(recorder: Recorder) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(recorder.url.removeprefix("http://"), timeout=20)


@pytest.mark.parametrize("path", ["/known", "/chunked", "/end"])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_bodies_pass_in_every_framing(recorder: Recorder, path: str, is_chunked: bool) -> None:  # noqa: FBT001
    body = json.dumps({"input": "a text" * 20_000}).encode()
    sent = iter([body[:100], body[100:]]) if is_chunked else body
    connection = connected(recorder)
    connection.request("POST", path, sent, {"x-mine": "1"})
    answer = connection.getresponse()
    assert answer.read() == body
    connection.close()
    assert recorder.take() == [Exchange("POST", path, body, 200, len(body))]
    assert recorder.take() == []


def test_one_connection_serves_many_requests(recorder: Recorder) -> None:
    connection = connected(recorder)
    connection.connect()
    own_port = connection.sock.getsockname()
    for number in range(5):
        connection.request("POST", f"/{number}", b"x" * number)
        answer = connection.getresponse()
        assert len(answer.read()) == number
        assert answer.status == (200 if number else 400)
        assert connection.sock.getsockname() == own_port
    connection.close()
    assert [(kept.path, kept.status, kept.batch_size) for kept in recorder.take()] == [
        ("/0", 400, 0),
        *((f"/{number}", 200, number) for number in range(1, 5)),
    ]


def test_a_hundred_callers_at_once(recorder: Recorder) -> None:
    together = threading.Barrier(CALLERS)

    def ask(number: int) -> bytes:
        connection = connected(recorder)
        together.wait(20)
        connection.request("POST", "/", b"%d" % number)
        body = connection.getresponse().read()
        connection.close()
        return body

    with ThreadPoolExecutor(CALLERS) as threads:
        assert list(threads.map(ask, range(CALLERS))) == [b"%d" % number for number in range(CALLERS)]
    assert len(recorder.take()) == CALLERS


def test_expect_continue_is_not_waited_for_in_vain(recorder: Recorder) -> None:
    connection = connected(recorder)
    connection.putrequest("POST", "/")
    connection.putheader("Expect", "100-continue")
    connection.putheader("Content-Length", "4")
    connection.endheaders()
    assert connection.sock.recv(64).startswith(b"HTTP/1.1 100 ")
    connection.send(b"body")
    assert connection.getresponse().read() == b"body"
    connection.close()
    assert [kept.body for kept in recorder.take()] == [b"body"]
