"""What the preflight says: a diagnosis each, and how diagnoses are printed. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

DiagnosisState = Literal["right", "noted", "loading", "risky", "wrong"]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was looked at.

    Attributes:
        state: `right`; `noted`: it has no effect, or another one than it seems to have; `loading`: it will be right by itself; `risky`: it works until something else happens; `wrong`:
            nothing works until it is changed.
        setting: The setting that it is about; empty: none.
        what: What was seen, without any secret.
        remedy: What to change; empty: nothing.
    """

    state: DiagnosisState
    setting: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        sentence = f"{self.what}; {self.remedy}" if self.remedy else self.what
        return f"{self.setting}: {sentence}" if self.setting else sentence


def table_of(diagnoses: Iterable[Diagnosis]) -> str:
    """Return a line for each diagnosis, its state first."""
    return "".join(f"{diagnosis.state:8} {diagnosis}\n" for diagnosis in diagnoses)


def faults_of(diagnoses: Iterable[Diagnosis]) -> list[str]:
    """Return the diagnoses with which nothing can be started."""
    return [str(diagnosis) for diagnosis in diagnoses if diagnosis.state == "wrong"]


def warnings_of(diagnoses: Iterable[Diagnosis]) -> list[str]:
    """Return what is worth a line although it prevents no start."""
    return [str(diagnosis) for diagnosis in diagnoses if diagnosis.state in ("loading", "risky")]


def are_right(diagnoses: Iterable[Diagnosis]) -> bool:
    """Whether there is nothing to wait for and nothing to change."""
    return all(diagnosis.state in ("right", "noted") for diagnosis in diagnoses)
