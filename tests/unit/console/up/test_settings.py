"""The command line and the environment of `autobatch up`."""

from pathlib import Path

import pytest

from autobatch_console.up.settings import UpSettings, flags_as_environment, flags_help
from autobatch_shared.settings.definitions import PROCESSES
from autobatch_shared.settings.loading import SettingsError, names_of, read

pytestmark = pytest.mark.usefixtures("nothing_is_set")


def test_unset_addresses_are_empty() -> None:
    settings = read(UpSettings, [])
    assert (settings.redis_url.get_secret_value(), settings.inference_url) == ("", "")


def test_an_address_counts_as_set_even_when_it_is_the_default_of_the_processes(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('redis_url = "redis://127.0.0.1:6379/0"\n')
    assert read(UpSettings, []).redis_url.get_secret_value() == "redis://127.0.0.1:6379/0"


def test_addresses_are_checked_as_the_processes_do() -> None:
    with pytest.raises(SettingsError) as caught:
        read(UpSettings, ["--redis-url", "http://x", "--inference-url", "x"])
    assert {fault.partition(":")[0] for fault in caught.value.faults} == {"REDIS_URL", "INFERENCE_URL"}


def test_given_flags_become_variables_under_their_first_name() -> None:
    argv = ["--max-wait-time", "5", "--max-batch-size=16", "--no-embedder-auto-truncate", "--redis-url", "unix:///r"]
    assert flags_as_environment(argv) == {
        "MAX_WAIT_TIME_MS": "5",
        "MAX_BATCH_SIZE": "16",
        "EMBEDDER_AUTO_TRUNCATE": "false",
        "REDIS_URL": "unix:///r",
    }


@pytest.mark.parametrize("argv", [["--model", "org/m"], ["--model=org/m"], ["--served-model-name", "org/m"]])
def test_the_models_name_has_a_short_flag(argv: list[str]) -> None:
    assert read(UpSettings, argv).served_model_name == "org/m"
    assert flags_as_environment(argv) == {"SERVED_MODEL_NAME": "org/m"}


def test_the_help_has_every_flag_that_up_takes() -> None:
    told = flags_help()
    for process in PROCESSES.values():
        for name, field in process.model_fields.items():
            for alias in names_of(name, field):
                assert (f"--{alias.replace('_', '-')}" in told) == (name != "uds_path"), alias
