"""`.env`, line by line: whatever would not count as it is meant stops the start."""

from pathlib import Path

import pytest

from autobatch_shared.settings.definitions import ProxySettings
from autobatch_shared.settings.files.env_file import EnvFile, read_env_file
from autobatch_shared.settings.loading import SettingsError, read
from autobatch_shared.settings.remarks import remarks_of

SECRET = "hunter2"
MORE = "goes on over its line's end, or has other control characters"

pytestmark = pytest.mark.usefixtures("nothing_is_set")


def fault_of(text: str) -> str:
    Path(".env").write_text(text)
    with pytest.raises(SettingsError) as caught:
        read(ProxySettings, [])
    (fault,) = caught.value.faults
    assert SECRET not in fault
    return fault


def test_where_there_is_no_file_there_are_no_names() -> None:
    assert read_env_file() == EnvFile()


@pytest.mark.parametrize(
    "text", ["API_KEY=k\n", "export API_KEY='k'\n", "\ufeffAPI_KEY = k # why\r\n", '\n# API_KEY\nAPI_KEY="k"']
)
def test_what_dotenv_reads_is_read(text: str) -> None:
    Path(".env").write_text(text)
    assert read(ProxySettings, []).keys == ("k",)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (f"API_KEY: {SECRET}\n", ".env: line 1 is not NAME=value"),
        (f"PORT=1\n\nAPI_KEY {SECRET}\n", ".env: line 2 is not NAME=value"),
        (f"API_KEY='{SECRET}\n", ".env: line 1 is not NAME=value"),
        ("API_KEY\n", ".env: line 1: API_KEY has no value; write API_KEY=..., or leave it out"),
        (f"api_key={SECRET}\n", ".env: line 1: api_key must be in capitals: API_KEY"),
        ("PORT=1\nPORT=2\n", ".env: PORT stands there 2 times"),
        (f"API_KEY='{SECRET}\nHOST=127.0.0.1\nLOG_LEVEL=info'\n", f".env: line 1: the value of API_KEY {MORE}"),
        ("HOST=127.0.0.1\0\n", f".env: line 1: the value of HOST {MORE}"),
    ],
)
def test_a_line_that_would_not_count_stops_the_start(text: str, fault: str) -> None:
    """With the key in it, a server would run open."""
    assert fault_of(text) == fault


def test_two_names_of_one_setting_are_no_flags() -> None:
    with pytest.raises(SettingsError, match=r"^--api-keys and --api-key are one setting$"):
        read(ProxySettings, ["--api-key", "a", "--api-keys=b"])


def test_of_two_names_of_one_setting_it_is_said_which_counts() -> None:
    Path(".env").write_text(f"API_KEY={SECRET}\nAPI_KEYS=k\n")
    settings = read(ProxySettings, [])
    assert settings.keys == ("k",)
    assert remarks_of(settings) == [".env: API_KEYS counts, and API_KEY does not: they are one setting"]


@pytest.mark.parametrize("directives", ["my_crate", "my_crate::part,tower"])
def test_a_rust_log_of_another_program_stops_no_start(directives: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUST_LOG", directives)
    settings = read(ProxySettings, [])
    assert settings.log_level == "info"
    assert remarks_of(settings) == ["RUST_LOG in the environment names no level, so it has no effect here"]


def test_our_own_level_is_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "my_crate")
    with pytest.raises(SettingsError, match="LOG_LEVEL"):
        read(ProxySettings, [])
