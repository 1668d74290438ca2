"""The public port, and the files that settings name."""

import os
import re
import socket
import sys
from pathlib import Path

import pytest

from autobatch_console.preflight.machine_diagnoses import look_at_files, look_at_port, look_at_side_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="who has a port is read in /proc")


def comm() -> str:
    return Path("/proc/self/comm").read_text().strip()


def test_a_port_is_free_or_taken(unused_port: int) -> None:
    assert look_at_port("127.0.0.1", unused_port).state == "right"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        diagnosis = look_at_port("127.0.0.1", taken.getsockname()[1])
    assert diagnosis.state == "wrong"
    assert "; choose another with --port" in str(diagnosis)
    assert f"Address already in use by {comm()} (pid {os.getpid()})" in diagnosis.what


def test_the_batchers_port_need_not_be_free_for_up(unused_port: int) -> None:
    assert look_at_side_port("127.0.0.1", unused_port, {}).state == "right"
    assert look_at_side_port("::1", 0, {}).state == "right"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        diagnosis = look_at_side_port("127.0.0.1", taken.getsockname()[1], {})
    assert (diagnosis.state, diagnosis.setting) == ("risky", "BATCHER_PORT")
    assert str(os.getpid()) in diagnosis.what


def test_a_port_that_another_part_will_take_is_not_free_for_the_batcher(unused_port: int) -> None:
    diagnosis = look_at_side_port("127.0.0.1", unused_port, {unused_port: "PORT"})
    assert (diagnosis.state, diagnosis.what) == ("risky", f"{unused_port} is PORT, too")
    assert look_at_side_port("127.0.0.1", 0, {0: "EMBEDDER_PORT"}).state == "right"


@pytest.mark.parametrize("setting", ["TOKENIZER_FILE", "CL100K_FILE"])
@pytest.mark.parametrize("content", [b"", b"{}", b"# Notes\n", b"\xff"])
def test_a_file_that_a_worker_could_not_use_is_wrong(tmp_path: Path, setting: str, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)

    (diagnosis,) = look_at_files({setting: str(file)})

    assert (diagnosis.state, diagnosis.setting) == ("wrong", setting)
    assert re.match("not a tokenizer|not a tiktoken file|not cl100k_base", diagnosis.what)
    assert str(file) in diagnosis.what


def test_a_file_is_read_or_the_reason_is_said(tmp_path: Path) -> None:
    there = tmp_path / "keys"
    there.write_text("key\n")
    files = {"API_KEYS_FILE": str(there), "TOKENIZER_FILE": str(tmp_path / "none"), "CL100K_FILE": None}

    right, wrong = look_at_files(files)

    assert (right.state, right.setting) == ("right", "API_KEYS_FILE")
    assert (wrong.state, wrong.setting) == ("wrong", "TOKENIZER_FILE")
    assert "cannot be read: No such file or directory" in wrong.what
