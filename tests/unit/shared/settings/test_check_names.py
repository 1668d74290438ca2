"""What docker compose drops without a word stops its start."""

import os
import subprocess
import sys

import pytest
import yaml

from tests.support.paths import ROOT

OF_AN_IMAGE = {
    "PATH": os.environ["PATH"],
    "HOME": "/tmp",
    "HOSTNAME": "ab12",
    "LANG": "C.UTF-8",
    "PYTHON_VERSION": "3.11",
}
OF_A_HOST = {"HTTP_PROXY": "http://proxy:3128", "no_proxy": "localhost"}


def checked(**env: str) -> tuple[int, str]:
    run = subprocess.run(
        [sys.executable, "-m", "autobatch_shared.settings.check_names"],
        env=OF_AN_IMAGE | OF_A_HOST | {"PYTHONPATH": str(ROOT)} | env,
        capture_output=True,
        check=False,
        text=True,
    )
    return run.returncode, run.stderr


@pytest.mark.parametrize(
    "name", ["API_KEY", "MAX_BATCH_SIZE", "HF_TOKEN", "UPSTREAM", "COMPOSE_PROFILES", "AWS_REGION"]
)
def test_settings_and_names_of_others_are_right(name: str) -> None:
    assert checked(**{name: "secret-value"}) == (0, "")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("API_KEYZ", "did you mean API_KEY?"),
        ("API_KEY_FILE", "did you mean API_KEYS_FILE?"),
        ("MAX_BTCH_SIZE", "did you mean MAX_BATCH_SIZE?"),
        ("api_key", "api_key must be in capitals: API_KEY"),
        ("BATCH_CHECK_INTERVAL_MS", "leave it out"),
    ],
)
def test_a_name_that_looks_like_a_setting_is_told(name: str, said: str) -> None:
    """With a misspelt API_KEY, every client would be served."""
    status, text = checked(**{name: "secret-value"})
    assert status == 2
    assert said in text
    assert "secret-value" not in text


def test_a_name_that_other_programs_have_too_is_told_and_refused_nowhere() -> None:
    """`.env` may be shared with programs that are not ours."""
    status, text = checked(NUM_WORKERS="secret-value")
    assert status == 0
    assert text == "autobatch: NUM_WORKERS in the environment is no setting; use WEB_CONCURRENCY\n"


def test_compose_starts_nothing_of_ours_before() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert services["names"]["command"] == ["python", "-m", "autobatch_shared.settings.check_names"]
    assert services["names"]["env_file"] == [{"path": ".env", "required": False}]
    for name in ("proxy", "batcher"):
        assert services[name]["depends_on"]["names"] == {"condition": "service_completed_successfully"}
