"""Which settings are not as by default, and which source each of them came from."""

from collections.abc import Sequence

from pydantic import SecretStr
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from autobatch_console.up.settings import UpSettings, flags_as_environment
from autobatch_shared.settings.files.env_file import ENCODING, ENV_FILE
from autobatch_shared.settings.loading import CONFIG_FILE, is_others_rust_log, names_of

HIDDEN = ("URL", "KEY")  # what has one of these in its name may hold a password


def origins_of(settings: UpSettings, argv: Sequence[str]) -> list[str]:
    """Return `NAME=value (source)` of each setting that is not as by default; of secrets without the value.

    Args:
        settings: What was read.
        argv: The flags that it was read from; the other sources are looked at again.
    """
    environment = EnvSettingsSource(UpSettings)
    environment.env_vars = {
        name: value for name, value in environment.env_vars.items() if not is_others_rust_log(name, value)
    }
    sources = {
        "flag": {name.lower() for name in flags_as_environment(argv)},
        "environment": set(environment()),
        ENV_FILE: set(DotEnvSettingsSource(UpSettings, env_file=ENV_FILE, env_file_encoding=ENCODING)()),
    }
    lines = []
    for name, field in UpSettings.model_fields.items():
        value = getattr(settings, name)
        if value != field.default:
            names = {*names_of(name, field), name}
            source = next((word for word, given in sources.items() if names & given), CONFIG_FILE)
            lines.append(f"{_shown(name.upper(), value)} ({source})")
    return lines


def _shown(name: str, value: object) -> str:
    is_hidden = isinstance(value, SecretStr) or any(word in name for word in HIDDEN)
    return name if is_hidden else f"{name}={value}"
