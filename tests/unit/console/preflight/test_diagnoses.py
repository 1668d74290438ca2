"""How diagnoses are sorted and printed."""

import pytest

from autobatch_console.preflight.diagnoses import Diagnosis, DiagnosisState, are_right, faults_of, table_of, warnings_of

STATES: tuple[DiagnosisState, ...] = ("right", "noted", "loading", "risky", "wrong")


def test_only_what_is_wrong_prevents_a_start() -> None:
    diagnoses = [Diagnosis(state, "PORT", state) for state in STATES]
    assert faults_of(diagnoses) == ["PORT: wrong"]
    assert warnings_of(diagnoses) == ["PORT: loading", "PORT: risky"]


@pytest.mark.parametrize("state", STATES)
def test_the_doctor_is_content_with_what_is_right_or_only_noted(state: DiagnosisState) -> None:
    assert are_right([Diagnosis("right", "", ""), Diagnosis(state, "", "")]) == (state in ("right", "noted"))


def test_a_line_has_the_state_the_setting_and_what_to_change() -> None:
    diagnoses = [Diagnosis("right", "PORT", "is free"), Diagnosis("wrong", "", "no Redis found", "install one")]
    assert table_of(diagnoses) == "right    PORT: is free\nwrong    no Redis found; install one\n"
