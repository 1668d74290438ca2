"""`autobatch bench` as a command: what it prints, what it writes, and its exit status."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from autobatch_bench.__main__ import with_command
from autobatch_bench.checking.oracle import answer
from autobatch_shared.install_hints import install_command
from tests.support.fake_upstream import FakeUpstream
from tests.support.paths import ROOT
from tests.support.waiting import wait_until

TINY = ("--seconds", "0.1", "--rounds", "1")


async def bench(*argv: str, **env: str) -> tuple[int, str, str]:
    """Run the command; return exit status, output and errors."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "autobatch_bench", *argv),
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "160"} | env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
async def fake(upstream: FakeUpstream) -> FakeUpstream:
    """An upstream whose vectors the bench knows byte for byte."""
    upstream.info = {"model_id": "bench/test", "max_client_batch_size": 32}
    return upstream


def compare(upstream: FakeUpstream, *more: str) -> tuple[str, ...]:
    """The arguments that compare an upstream with itself: the bench is under test, not the upstream."""
    few = ("--n", "1", "--n", "5", "--concurrency", "2")
    return ("compare", "--direct", upstream.url, "--proxy", upstream.url, *TINY, *few, *more)


async def test_without_a_command_it_runs_both_sides_itself() -> None:
    status, out, err = await bench("--concurrency", "2", *TINY, "--json")

    assert status == 0, err
    found = orjson.loads(out)
    (pair,) = found["points"][0]["pairs"]
    assert pair["direct"]["right"] > 0
    assert pair["proxy"]["right"] > 0
    assert set(pair["proxy"]["cpu_us"]) == {"load tool", "upstream", "redis", "batcher", "worker"}


async def test_proxies_of_others_are_measured_beside_ours() -> None:
    """The instant upstream stands in for another proxy: it answers as one does."""
    another = f"another={sys.executable} -m autobatch_bench.systems.instant_upstream {{port}} asyncio"
    status, out, err = await bench("beside", "--peer", another, "--concurrency", "2", *TINY, "--json")

    assert status == 0, err
    (pair,) = orjson.loads(out)["points"][0]["pairs"]
    assert pair.keys() == {"direct", "proxy", "another"}
    assert all(each["right"] > 0 for each in pair.values())
    assert "peer" in pair["another"]["cpu_us"]


async def test_one_section_alone_is_measured(fake: FakeUpstream) -> None:
    status, out, err = await bench(*compare(fake, "--only", "bursts"), "--json")

    assert status == 0, err
    found = orjson.loads(out)["comparison"]
    assert [point["x"] for point in found["bursts"]] == [1, 5]
    assert [found[name] for name in ("concurrency", "rates", "lengths", "workloads")] == [[], [], [], []]


async def test_the_upstream_may_be_a_command() -> None:
    command = f"{sys.executable} -m autobatch_bench.systems.tei_queue_upstream {{port}} asyncio"
    status, out, err = await bench("beside", "--upstream-command", command, "--concurrency", "2", *TINY)

    assert status == 0, err
    assert "p99 <= 10 ms" in out


async def test_a_program_that_ends_at_once_is_tried_on_other_ports(tmp_path: Path) -> None:
    """It may need another port than that which it was given, such as the next one, and that may be taken."""
    tried = tmp_path / "tried"
    serve = f"exec {sys.executable} -m autobatch_bench.systems.instant_upstream {{port}} asyncio"
    command = f"sh -c '[ -e {tried} ] && {serve}; echo {{port}} >{tried}; exit 98'"
    status, out, err = await bench("beside", "--upstream-command", command, "--concurrency", "2", *TINY)

    assert status == 0, err
    assert f"upstream ended before it listened on port {tried.read_text().strip()}" in err
    assert "p99 <= 10 ms" in out


async def test_a_program_that_ends_each_time_is_told_with_its_log() -> None:
    status, _, err = await bench("beside", "--peer", "gone=sh -c 'echo no model; exit 3'", *TINY)

    assert (status, err.count("ended before it listened"), err.count("no model")) == (1, 2, 3)


async def test_a_peer_without_a_command_is_named() -> None:
    status, _, err = await bench("beside", "--peer", "rustworthy")

    assert status == 2
    assert "NAME=VALUE" in err


async def test_servers_that_run_already_are_compared(fake: FakeUpstream) -> None:
    status, out, err = await bench(*compare(fake, "--json"))

    assert status == 0, err
    found = orjson.loads(out)["comparison"]
    assert [point["x"] for point in found["bursts"]] == [1, 5]
    assert [point["x"] for point in found["concurrency"]] == [2]
    assert {point["x"] for point in found["workloads"]} == {"short", "fixed", "mixed", "several"}
    assert found["parts_ms"].keys() == {"behind nginx"}


async def test_wrong_answers_end_with_status_1_and_are_named(fake: FakeUpstream) -> None:
    async def mix_up(_texts: list[str]) -> web.Response:
        return web.Response(body=answer(["somebody else's"]))

    fake.behave = mix_up
    status, out, _ = await bench(*compare(fake))

    assert status == 1
    assert "wrong answers" in out


async def test_an_upstream_that_is_not_there_is_named(unused_port: int) -> None:
    url = f"http://127.0.0.1:{unused_port}"
    status, _, err = await bench("compare", "--direct", url, "--proxy", url)

    assert status == 2
    assert str(unused_port) in err
    assert "Traceback" not in err


async def test_a_group_of_targets_that_is_none_is_named() -> None:
    status, _, err = await bench("targets", "--only", "T1,T9")

    assert status == 2
    assert "T9" in err


async def test_a_missed_target_is_a_result_and_no_error() -> None:
    status, out, err = await bench("targets", "--only", "T3", *TINY)

    assert status == 0, err
    assert "missed" in out or "ok" in out
    assert "T3 tei-queue" in out
    assert "T1" not in out


async def test_a_report_without_matplotlib_says_how_to_get_it(tmp_path: Path) -> None:
    """Python treats None in place of a module as a missing module."""
    hook = tmp_path / "sitecustomize.py"
    hook.write_text("import sys\nsys.modules['matplotlib'] = None\n")
    status, out, err = await bench("report", "--out", str(tmp_path / "r"), PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")

    assert status == 2, err
    assert out.strip() == f"a report needs matplotlib: {install_command('report')}"


async def test_one_url_is_put_under_load(fake: FakeUpstream, tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("one\n\nanother\n")
    few = ("--concurrency", "2", "--seconds", "0.2", "--json")
    status, out, err = await bench("load", f"{fake.url}/embed", "--texts", str(tmp_path / "own.txt"), *few)

    assert status == 0, err
    found = orjson.loads(out)
    assert found["statuses"] == {"200": len(fake.calls)}
    assert found["answers_per_s"] > 0
    assert {"one", "another"} == {text.rpartition(" ")[0] for (text,) in fake.calls}


async def test_load_says_which_statuses_came(fake: FakeUpstream) -> None:
    fake.refuses["/embed"] = 401
    status, out, err = await bench("load", fake.url, "--concurrency", "1", "--seconds", "0.1")

    assert status == 1, err
    assert "401: " in out


async def test_load_that_is_stopped_says_what_it_saw(fake: FakeUpstream) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "autobatch_bench", "load", fake.url, "--concurrency", "1", "--seconds", "600"),
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "160"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    await wait_until(lambda: len(fake.calls) > 10)
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()

    assert (130, b"") == (process.returncode, err)
    assert b"answers a second, p50 " in out
    assert b"stopped after " in out


async def test_load_says_what_no_url_is(fake: FakeUpstream) -> None:
    status, _, err = await bench("load", f"{fake.url}/embed", "--route", "/embed")
    assert (status, "one route" in err) == (2, True)
    await fake.stop()
    status, _, err = await bench("load", fake.url, "--seconds", "0.1")
    assert (status, f"autobatch bench: {fake.url}: " in err) == (1, True)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], ["run"]),
        (["--seconds", "1"], ["run", "--seconds", "1"]),
        (["targets", "--only", "T1"], ["targets", "--only", "T1"]),
        (["--help"], ["--help"]),
    ],
)
def test_the_command_is_run_where_none_is_named(argv: list[str], expected: list[str]) -> None:
    assert with_command(argv) == expected
