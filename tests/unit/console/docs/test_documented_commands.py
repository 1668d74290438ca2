"""What README and docs show can be typed: each flag, variable, target and alert in them is known, with a value that is taken."""

import re
from pathlib import Path

import pytest

from autobatch_console import main
from autobatch_console.up.config_command import COMMANDS
from autobatch_console.up.settings import UpSettings
from autobatch_shared.settings.foreign_names import is_composes, refused
from autobatch_shared.settings.loading import every_name, read
from tests.support.paths import ROOT
from tests.unit.console.docs.documented_commands import DOCUMENTS, DocumentedCommand, documented

#: Read the settings of `up`, or are followed by the name of a process.
LIKE_UP = {"up", "doctor", "config", "simulate"}
OWN_FLAGS = {"top", "bench", "simulate", "tune"}  # beside those of settings
LINK = re.compile(r"\]\(([^)#: ]*)(#[^)]+)?\)")
SETTING = re.compile(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b")

pytestmark = pytest.mark.usefixtures("nothing_is_set")


def test_the_documents_have_commands_and_this_sees_them() -> None:
    assert len(documented("autobatch")) > 20
    assert len(documented("curl")) > 10
    assert len(documented("docker", "make")) > 5


@pytest.mark.parametrize("command", documented("autobatch"), ids=str)
def test_autobatch_takes_each_command_that_is_shown(
    command: DocumentedCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, *words = command.words[1:]
    assert re.search(rf"^  {name} ", main.HELP, re.MULTILINE), "no such command"
    if name in OWN_FLAGS or words[:1] == ["convert"]:
        return
    for variable, value in command.variables.items():
        assert variable.lower() in every_name()
        monkeypatch.setenv(variable, value)
    if words and words[0] in COMMANDS:
        name = words.pop(0)
    read(COMMANDS.get(name, UpSettings), [word for word in words if word != "--json"])


@pytest.mark.parametrize("command", documented("docker"), ids=str)
def test_compose_is_given_names_that_it_knows(command: DocumentedCommand) -> None:
    assert [name for name in command.variables if name.lower() not in every_name() and not is_composes(name)] == []


@pytest.mark.parametrize("command", documented("make"), ids=str)
def test_make_has_each_target_that_is_shown(command: DocumentedCommand) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = [word for word in command.words[1:] if "=" not in word]
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(file: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for path, anchor in LINK.findall(re.sub(r"`[^`]*`", "", prose)):
        target = (file.parent / path).resolve() if path else file
        assert target.exists(), path
        if anchor:
            assert anchor.removeprefix("#") in anchors(target), f"{path}{anchor}"


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", ["README.md", "docs/tuning.md", "docs/migrating.md", "docs/reference/api.md"])
def test_each_setting_that_is_named_exists(name: str) -> None:
    """Or is one of another proxy's, with what to use instead, or compose's."""
    found = set(SETTING.findall((ROOT / name).read_text(encoding="utf-8")))
    unknown = {each for each in found if each.lower() not in every_name() and not is_composes(each)}
    assert {each for each in unknown if refused(each) is None} == set()


def test_each_alert_has_its_line_on_what_to_set() -> None:
    alerts = re.findall(r"alert: (\w+)", (ROOT / "deploy/observability/alerts.yml").read_text())
    said = (ROOT / "docs/tuning.md").read_text()
    assert [alert for alert in alerts if f"`{alert}`" not in said] == []


def test_the_panels_that_tuning_names_are_on_the_board() -> None:
    rows = [line.split("|") for line in (ROOT / "docs/tuning.md").read_text().splitlines() if line.startswith("| ")]
    named = {panel for row in rows if len(row) == 5 for panel in re.findall(r'"([^"{}:]+)"', row[2])}
    board = (ROOT / "deploy/observability/board.json").read_text()
    assert len(named) > 10
    assert [panel for panel in sorted(named) if f'"title": "{panel}"' not in board] == []
