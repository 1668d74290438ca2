"""`autobatch doctor` as a person calls it: a table, and nothing beside it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from autobatch_shared.settings.loading import every_name
from tests.support.ports import free_port


def test_the_table_is_all_that_is_printed(tmp_path: Path, unused_port: int) -> None:
    """What modules of the servers log of a Sentinel that refuses is a line of the table, too."""
    flags = {
        "--port": str(unused_port),
        "--batcher-port": str(unused_port),
        "--redis-url": f"redis+sentinel://127.0.0.1:{unused_port}/main",
        "--inference-url": f"http://127.0.0.1:{unused_port}",
    }
    done = doctor(tmp_path, flags)

    assert (done.returncode, done.stderr) == (1, "")
    states = [line.split(": ")[0].split() for line in done.stdout.splitlines()]
    assert states == [
        ["right", "PORT"],
        ["risky", "BATCHER_PORT"],
        ["wrong", "REDIS_URL"],
        ["loading", "INFERENCE_URL"],
    ]


def test_the_upstream_of_each_model_has_its_own_line(tmp_path: Path, unused_port: int) -> None:
    (tmp_path / "config.toml").write_text(
        '[[models]]\nname = "small"\nurl = "http://no-such-host.invalid"\n\n'
        f'[[models]]\nname = "org/large"\nurl = "http://127.0.0.1:{unused_port}"\ninference_ca_file = "no-such.pem"\n'
        'tokenizer_file = "config.toml"\n'
    )
    flags = {"--port": str(free_port()), "--batcher-port": "0", "--redis-url": f"redis://127.0.0.1:{unused_port}"}
    done = doctor(tmp_path, flags)

    assert (done.returncode, done.stderr) == (1, "")
    assert [line.split(": ")[0].split(maxsplit=1) for line in done.stdout.splitlines()] == [
        ["right", "PORT"],
        ["right", "BATCHER_PORT"],
        ["wrong", "TOKENIZER_FILE of org/large"],
        ["wrong", "INFERENCE_CA_FILE of org/large"],
        ["wrong", "REDIS_URL"],
        ["wrong", "INFERENCE_URL of small"],
        ["loading", "INFERENCE_URL of org/large"],
    ]


def test_what_up_would_end_with_ends_doctor(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[[models]]\nname = "a"\nurl = "http://127.0.0.1:1"\nprompts = "x"\n')
    done = doctor(tmp_path, {})

    assert done.returncode == 2
    assert done.stderr.startswith("autobatch: config.toml: [[models]] 1: prompts: must be a comma list")


def test_a_variable_that_is_no_setting_is_noted(tmp_path: Path) -> None:
    done = doctor(tmp_path, {}, {"INFERENCE_ULR": "http://tei", "NUM_WORKERS": "4"})

    noted = [line for line in done.stdout.splitlines() if line.startswith("noted ")]
    assert ["INFERENCE_ULR", "NUM_WORKERS"] == sorted(line.split()[1] for line in noted)


def doctor(
    folder: Path, flags: Mapping[str, str], variables: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    """Call it in a folder, with no setting but these."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "autobatch_console", "doctor", *(word for flag in flags.items() for word in flag)],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name.lower() not in every_name()} | {**variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
