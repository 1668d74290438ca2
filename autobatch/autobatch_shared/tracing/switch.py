"""Whether this process writes traces. OpenTelemetry's own variables say so; none of it is imported to find out.

Source of the names: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from dotenv import dotenv_values

from autobatch_shared.install_hints import install_command, is_installed
from autobatch_shared.settings.files.env_file import ENCODING, ENV_FILE
from autobatch_shared.settings.foreign_names import is_opentelemetrys
from autobatch_shared.settings.loading import SettingsError

if TYPE_CHECKING:
    from autobatch_shared.tracing.spans import Tracing

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


def is_on(variables: Mapping[str, str]) -> bool:
    """Whether traces are to be written."""
    is_disabled = variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return bool(_first(variables, ENDPOINTS)) and not is_disabled and _exporter(variables) != "none"


def open_tracing(service: str) -> "Tracing | None":
    """Return what takes the spans of this process, to be closed in the end; None where traces are off.

    Args:
        service: The name of the service, where OpenTelemetry's variables give none.
    """
    if not is_on(os.environ):
        return None
    from autobatch_shared.tracing.spans import Tracing  # noqa: PLC0415 - its packages are an extra, and 30 MB

    return Tracing(service)


def refuse_unusable(variables: Mapping[str, str], is_there: Callable[[str], bool] = is_installed) -> None:
    """Refuse what would end in no traces without a word.

    Args:
        variables: The environment.
        is_there: Whether a package is installed.

    Raises:
        SettingsError: Traces are asked for that cannot be written.
    """
    if not is_on(variables):
        return
    faults = []
    if (exporter := _exporter(variables)) != "otlp":
        faults.append(f"OTEL_TRACES_EXPORTER: must be otlp or none (got {exporter!r})")
    if (protocol := _first(variables, PROTOCOLS)) not in ("", "http/protobuf"):
        faults.append(
            f"OTEL_EXPORTER_OTLP_PROTOCOL: must be http/protobuf (got {protocol!r}), whose usual port is 4318"
        )
    if not all(map(is_there, PACKAGES)):
        faults.append(
            f"{next(name for name in ENDPOINTS if variables.get(name))}: traces need more packages: type "
            f"`{install_command('otel')}`, or set OTEL_SDK_DISABLED=true"
        )
    if faults:
        raise SettingsError(faults)


def take_env_file() -> None:
    """Put OpenTelemetry's names of `.env` into the environment, where it looks for them; what is there already counts."""
    for name, value in dotenv_values(ENV_FILE, encoding=ENCODING).items():
        if is_opentelemetrys(name) and value and not os.environ.get(name):
            os.environ[name] = value


def _first(variables: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((value for name in names if (value := variables.get(name, "").strip())), "")


def _exporter(variables: Mapping[str, str]) -> str:
    return variables.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
