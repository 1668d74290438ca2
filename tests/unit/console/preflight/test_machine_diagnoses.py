"""The public port, and the files that settings name."""

import socket
from pathlib import Path

from autobatch_console.preflight.machine_diagnoses import look_at_files, look_at_port


def test_a_port_is_free_or_taken(unused_port: int) -> None:
    assert look_at_port("127.0.0.1", unused_port).state == "right"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        diagnosis = look_at_port("127.0.0.1", taken.getsockname()[1])
    assert diagnosis.state == "wrong"
    assert "Address already in use; choose another with --port" in str(diagnosis)


def test_a_file_is_read_or_the_reason_is_said(tmp_path: Path) -> None:
    there = tmp_path / "keys"
    there.write_text("key\n")
    files = {"API_KEYS_FILE": str(there), "TOKENIZER_FILE": str(tmp_path / "none"), "CL100K_FILE": None}

    right, wrong = look_at_files(files)

    assert (right.state, right.setting) == ("right", "API_KEYS_FILE")
    assert (wrong.state, wrong.setting) == ("wrong", "TOKENIZER_FILE")
    assert "cannot be read: No such file or directory" in wrong.what
