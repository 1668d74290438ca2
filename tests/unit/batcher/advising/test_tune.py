"""The command `autobatch tune`, as far as it needs no server; with one: tests/integration/batcher/test_tune.py."""

from pathlib import Path

import pytest

from autobatch_batcher.advising.__main__ import main
from tests.support.ports import free_port


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("--p99", "soon"), "must be a time, as 50ms or 2s"),
        (("--p99", "0ms"), "autobatch: --p99: in milliseconds: Input should be greater than or equal to 5"),
        (("--seconds", "0"), "must be 1 to 3600"),
        (("--seconds", "long"), "must be 1 to 3600"),
        (("--texts", "missing.txt"), "--texts: missing.txt"),
        (("--out", "/proc/self/none"), "--out: /proc/self/none: "),
        (("--inference-urls", "http://a"), "--inference-urls: no such flag"),
    ],
)
def test_a_wrong_argument_is_refused(
    argv: tuple[str, ...],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        status = main(argv)
    except SystemExit as ended:
        status = ended.code  # type: ignore[assignment]  # argparse exits with a number
    assert 2 == status
    assert told in capsys.readouterr().err


def test_a_server_that_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    url = f"http://127.0.0.1:{free_port()}"
    assert 1 == main(["--inference-url", url, "--api-key=secret-1"])
    err = capsys.readouterr().err
    assert f"autobatch tune: {url}: " in err
    assert "ECONNREFUSED" in err
