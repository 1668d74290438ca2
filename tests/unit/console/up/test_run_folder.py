"""The folder of a run: private, with a short path, not shared, and removed afterwards."""

import stat
from pathlib import Path

import pytest

from autobatch_console.up import run_folder
from autobatch_console.up.run_folder import RunFolder, RunFolderError


def test_a_temporary_folder_is_private_and_goes_away() -> None:
    with run_folder.opened(None, workers=2) as folder:
        folder.log("redis").write_text("hello\n")
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert not folder.path.exists()


def test_a_temporary_folder_stays_when_its_logs_are_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with run_folder.opened(None, workers=1) as folder:
        folder.is_kept = True
    assert folder.path.is_dir()


def test_a_temporary_folder_has_room_for_sockets_even_where_tmpdir_is_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with run_folder.opened(None, workers=100) as folder:
        assert folder.path.parent == Path("/tmp")
    assert list(long.iterdir()) == []


def test_a_chosen_folder_stays_without_its_sockets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with run_folder.opened(Path("run"), workers=2) as folder:
        folder.log("redis").write_text("hello\n")
        (folder.path / "redis.sock").touch()
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == ["lock", "redis.log"]


def test_two_never_share_a_folder(tmp_path: Path) -> None:
    with (
        run_folder.opened(tmp_path, workers=1),
        pytest.raises(RunFolderError, match="in use"),
        run_folder.opened(tmp_path, workers=1),
    ):
        pass
    with run_folder.opened(tmp_path, workers=1):
        pass


def test_a_folder_too_long_for_sockets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="too long"), run_folder.opened(tmp_path / ("x" * 100), workers=1):
        pass


def test_a_log_that_has_grown_too_large_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_folder, "LOG_BYTES_MAX", 5)
    folder = RunFolder(tmp_path, is_temporary=False)
    with folder.log("nginx").open("ab", buffering=0) as writer:
        writer.write(b"123456")
        folder.bound_logs()
        writer.write(b"7")
        folder.bound_logs()

    assert (tmp_path / "nginx.log").read_bytes() == b"7"
    assert (tmp_path / "nginx.log.1").read_bytes() == b"123456"


def test_the_tail_is_the_end_and_empty_where_there_is_none(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, is_temporary=False)
    folder.log("redis").write_bytes(b"1\n2\n\xff\n")

    assert folder.tail("redis", lines=2) == "2\n\ufffd"
    assert folder.tail("nginx") == ""
