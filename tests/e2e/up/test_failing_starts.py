"""A start that cannot succeed says why, and what to change."""

import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.e2e.up.console import HELLO_WORLD, MARKS, Console
from tests.support.ports import free_port

pytestmark = MARKS


def test_a_port_that_is_taken_is_refused_before_anything_is_started(start: Callable[..., Console]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        console = start("--host", "127.0.0.1", "--port", str(taken.getsockname()[1]))
        assert console.wait() == 1

    (line,) = console.output.splitlines()
    assert line.startswith("autobatch: PORT: cannot listen on 127.0.0.1:")


def test_what_cannot_work_is_said_before_anything_is_started(start: Callable[..., Console]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    console = start("--inference-url", "http://no-such-host.invalid", env={"REDIS_URL": f"redis://127.0.0.1:{port}"})

    assert console.wait() == 1
    redis, upstream = sorted(console.output.splitlines(), reverse=True)
    assert redis.startswith(f"autobatch: REDIS_URL: 127.0.0.1:{port} refuses connections, nothing listens there")
    assert upstream.startswith("autobatch: INFERENCE_URL: the name of http://no-such-host.invalid cannot be resolved")


def test_an_upstream_that_is_late_is_named_and_waited_for(console: Console, start: Callable[..., Console]) -> None:
    redis, port = console.address("redis"), free_port()
    late = start(
        "--inference-url", f"http://127.0.0.1:{port}", "--namespace", "late", env={"REDIS_URL": f"unix://{redis}"}
    )
    late.wait_for(rf"^  \.\.\. INFERENCE_URL: http://127.0.0.1:{port} refuses connections")
    late.wait_for(r"^  \.\.\. waiting for batcher")

    upstream = start("--embedder-port", str(port), env={"REDIS_URL": f"unix://{redis}"})
    late.wait_for("^ready")

    assert upstream.process.poll() is None
    assert late.embed("hello world")[0][:5] == pytest.approx(HELLO_WORLD, abs=1e-4)


@pytest.mark.parametrize(
    ("does", "what", "remedy"),
    [
        ("refuses", "refuses connections, nothing listens there", "start the server, or correct the address"),
        ("hangs", "accepts connections and does not answer in time", "correct the address if it is another server"),
        ("answers 503", "answers 503 at /health", "wait: it loads its model"),
    ],
)
def test_a_start_that_waited_in_vain_ends_with_the_upstream_its_fault_and_what_to_change(
    start: Callable[..., Console], does: str, what: str, remedy: str
) -> None:
    late = "autobatch: batcher was not ready within"
    with upstream_that(does) as url:
        for limit_s in ("6", "60"):  # on a busy machine the parts before the batcher may need the six seconds
            console = start("--inference-url", url, "--start-timeout", limit_s)
            assert console.wait(120) == 1
            if late in console.output:
                break

    assert re.search(f"{late} \\d+ s; --start-timeout gives it longer\n", console.output)
    last = console.output.splitlines()[-1]
    assert last.startswith(f"autobatch: INFERENCE_URL: {url} {what}"), console.output
    assert remedy in last
    (kept,) = re.findall(r"all logs are in (\S+)", console.output)
    shutil.rmtree(kept)


@contextmanager
def upstream_that(does: str) -> Iterator[str]:
    """The URL of an upstream that cannot be used."""
    if does == "refuses":
        yield f"http://127.0.0.1:{free_port()}"
        return
    if does == "hangs":
        with socket.create_server(("127.0.0.1", 0)) as never_accepts:
            yield f"http://127.0.0.1:{never_accepts.getsockname()[1]}"
        return
    with ThreadingHTTPServer(("127.0.0.1", 0), Unavailable) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Unavailable(BaseHTTPRequestHandler):
    """Answers 503 to everything."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(503)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_foreign_env_file_stops_it_before_anything_is_started(start: Callable[..., Console], tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("BATCH_CHECK_INTERVAL_MS=hunter2\nMAX_BACH_SIZE=8\n")
    console = start()

    assert console.wait() == 2
    first, second = sorted(console.output.splitlines())
    assert first.startswith("autobatch: .env: BATCH_CHECK_INTERVAL_MS: no such setting; ")
    assert second == "autobatch: .env: MAX_BACH_SIZE: no such setting; did you mean MAX_BATCH_SIZE?"
    assert "hunter2" not in console.output


def test_wrong_settings_are_told_all_at_once(start: Callable[..., Console]) -> None:
    console = start("--max-batch-size", "0", env={"MAX_WAIT_TIME_MS": "soon", "REDIS_URL": "http://x"})

    assert console.wait() == 2
    assert {line.split(":")[1].strip() for line in console.output.splitlines()} == {
        "MAX_BATCH_SIZE",
        "MAX_WAIT_TIME_MS",
        "REDIS_URL",
    }


def test_a_part_that_dies_while_starting_is_named_with_its_last_words(
    start: Callable[..., Console], tmp_path: Path
) -> None:
    console = start("--embedder-model-dir", str(tmp_path / "nowhere"))

    assert console.wait() == 1
    assert re.search(
        r"^autobatch: embedder \(pid \d+\) exited with status 2 while starting$", console.output, re.MULTILINE
    )
    assert "nowhere" in console.output
    (kept,) = re.findall(r"all logs are in (\S+)", console.output)
    folder = Path(kept)
    assert "nowhere" in (folder / "embedder.log").read_text()
    assert list(folder.glob("*.sock")) == []
    shutil.rmtree(folder)
