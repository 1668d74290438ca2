"""Every setting as the documents describe it: names, default, which processes read it, meaning and range.

Pure, from the classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from autobatch_shared.settings.definitions import CommonSettings
from autobatch_shared.settings.loading import names_of


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting."""

    names: tuple[str, ...]  # as in the environment, the main one first
    default: str  # empty: unset
    who: tuple[str, ...]
    reloaded: tuple[str, ...]  # which of these take over a new value at SIGHUP
    meaning: str
    range: str  # empty: anything, or described by the meaning

    @property
    def flags(self) -> tuple[str, ...]:
        """The names as flags."""
        return tuple("--" + name.lower().replace("_", "-") for name in self.names)


def rows_of(processes: Mapping[str, type[CommonSettings]]) -> list[SettingRow]:
    """Return every setting once, in the order in which the processes declare them."""
    who: dict[str, list[str]] = {}
    fields: dict[str, FieldInfo] = {}
    for process, settings in processes.items():
        for name, setting in settings.model_fields.items():
            who.setdefault(name, []).append(process)
            fields.setdefault(name, setting)
    return [
        SettingRow(
            names=tuple(alias.upper() for alias in names_of(name, setting)),
            default=_as_text(setting.default),
            who=tuple(who[name]),
            reloaded=tuple(process for process in who[name] if name in processes[process].reloaded),
            meaning=setting.description or "",
            range=_range(setting),
        )
        for name, setting in fields.items()
    ]


def _as_text(default: object) -> str:
    if isinstance(default, SecretStr):
        return default.get_secret_value()  # a default is not a secret
    if isinstance(default, bool):
        return str(default).lower()
    return "" if default is None else str(default)


def _range(setting: FieldInfo) -> str:
    choices = _choices(setting.annotation)
    if choices:
        is_told = all(f"`{choice}`" in (setting.description or "") for choice in choices)
        return "" if is_told else " or ".join(choices)
    low, high = "", ""
    for limit in setting.metadata:
        match limit:
            case Ge(ge=bound) | Gt(gt=bound):
                low = str(bound)
            case Le(le=bound) | Lt(lt=bound):
                high = str(bound)
    if low and high:
        return f"{low} to {high}"
    return f"from {low}" if low else f"up to {high}" if high else ""


def _choices(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(choice) for choice in get_args(annotation)]
    if get_origin(annotation) in (Union, UnionType):
        return [choice for member in get_args(annotation) for choice in _choices(member)]
    return ["true", "false"] if annotation is bool else []
