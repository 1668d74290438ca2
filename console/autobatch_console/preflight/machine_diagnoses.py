"""Look at this machine: are the ports free, and can the files be read that the settings name, as a worker reads them."""

from collections.abc import Callable, Mapping
from pathlib import Path

from autobatch_console.preflight import ports
from autobatch_console.preflight.diagnoses import Diagnosis
from autobatch_shared.settings.loading import SettingsError
from autobatch_shared.settings.named_files import read_keys, read_ranks, read_tokenizer, trusting

_READERS: Mapping[str, Callable[[str], object]] = {
    "API_KEYS_FILE": read_keys,
    "TOKENIZER_FILE": read_tokenizer,
    "CL100K_FILE": read_ranks,
    "INFERENCE_CA_FILE": trusting,
}


def look_at_port(host: str, port: int) -> Diagnosis:
    """Return whether the public address can be listened on."""
    try:
        ports.check(host, port)
    except ports.PortError as error:
        return Diagnosis("wrong", "PORT", str(error), "choose another with --port")
    return Diagnosis("right", "PORT", f"{host}:{port} is free")


def look_at_side_port(host: str, port: int, taken: Mapping[int, str]) -> Diagnosis:
    """Return whether the batcher's own address can be listened on; `up` takes another port where it cannot.

    Args:
        host: Its host.
        port: Its port; 0: any.
        taken: The ports that another part will listen on, and their settings.
    """
    remedy = "`up` takes another one, which those who read its /metrics must be told"
    if port and port in taken:
        return Diagnosis("risky", "BATCHER_PORT", f"{port} is {taken[port]}, too", remedy)
    try:
        ports.check(host, port)
    except ports.PortError as error:
        return Diagnosis("risky", "BATCHER_PORT", str(error), remedy)
    return Diagnosis("right", "BATCHER_PORT", f"{host}:{port} is free" if port else "any free one")


def look_at_files(files: Mapping[str, str | None]) -> list[Diagnosis]:
    """Return a diagnosis for each file that is set, by the name of its setting."""
    return [_look_at_file(setting, Path(file)) for setting, file in files.items() if file]


def _look_at_file(setting: str, path: Path) -> Diagnosis:
    name, *_ = setting.split(" ")  # of one model: `TOKENIZER_FILE of m`
    try:
        with path.open("rb") as opened:
            opened.read(1)
    except OSError as error:
        return Diagnosis(
            "wrong", setting, f"{path} cannot be read: {error.strerror}", "correct the path, or its permissions"
        )
    try:
        _READERS.get(name, str)(str(path))
    except SettingsError as error:
        return Diagnosis("wrong", setting, "; ".join(error.faults).removeprefix(f"{name}: "), "correct the path")
    return Diagnosis("right", setting, f"{path} can be read")
