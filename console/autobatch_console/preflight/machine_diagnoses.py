"""Look at this machine: is the public port free, and can the files be read that the settings name."""

from collections.abc import Mapping
from pathlib import Path

from autobatch_console.preflight import ports
from autobatch_console.preflight.diagnoses import Diagnosis


def look_at_port(host: str, port: int) -> Diagnosis:
    """Return whether the public address can be listened on."""
    try:
        ports.check(host, port)
    except ports.PortError as error:
        return Diagnosis("wrong", "PORT", str(error))
    return Diagnosis("right", "PORT", f"{host}:{port} is free")


def look_at_files(files: Mapping[str, str | None]) -> list[Diagnosis]:
    """Return a diagnosis for each file that is set, by the name of its setting."""
    return [_look_at_file(setting, Path(file)) for setting, file in files.items() if file]


def _look_at_file(setting: str, path: Path) -> Diagnosis:
    try:
        with path.open("rb") as opened:
            opened.read(1)
    except OSError as error:
        return Diagnosis(
            "wrong", setting, f"{path} cannot be read: {error.strerror}", "correct the path, or its permissions"
        )
    return Diagnosis("right", setting, f"{path} can be read")
