"""`autobatch tune`, which is `python -m autobatch_batcher.advising`: measure a server, and say what the proxy would gain in front of it."""

import argparse
import asyncio
import logging
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import msgspec

from autobatch_batcher.advising.advice import REFUSED_MAX, advise
from autobatch_batcher.advising.config_file import config_of
from autobatch_batcher.advising.measuring.measured import CLIENTS, Measured
from autobatch_batcher.advising.measuring.measurement import measure
from autobatch_batcher.advising.measuring.sample_texts import built_in_texts, own_texts
from autobatch_batcher.advising.measuring.upstream_timer import MeasuringError
from autobatch_batcher.advising.prediction import ExpectedGain, expected_gain, find_law
from autobatch_batcher.advising.tune_page import render
from autobatch_shared.measuring.text_file import TextsError
from autobatch_shared.settings.definitions import BatcherSettings, servers_of, without_credentials
from autobatch_shared.settings.loading import SettingsError, end_with, read

OURS = {"--api-key": "--inference-api-key"}  # what is a client's key elsewhere is the server's here
HEAD = f"{'clients':>7} {'directly/s':>11} {'proxy/s':>9} {'gain':>6} {'range':>13} {'p99 ms':>15}"
TARGET, P99 = "TARGET_P99_MS:", "--p99: in milliseconds:"  # as it is here, where it was given so
_duration = re.compile(r"(\d{1,6}(?:\.\d{1,3})?) ?(ms|s)").fullmatch


def main(argv: Sequence[str]) -> int:
    """Measure, compute, print and write. Exit status 2 where an argument is wrong, 1 where the server cannot be measured, 130 after Ctrl-C."""
    try:
        return _tune(argv)
    except KeyboardInterrupt:
        sys.stderr.write("autobatch tune: stopped: the lines above are what was measured, and no file is written\n")
        return 130


def _tune(argv: Sequence[str]) -> int:
    arguments, others = _parser().parse_known_args(argv)
    others = [
        OURS.get(word.partition("=")[0], word.partition("=")[0]) + "".join(word.partition("=")[1:]) for word in others
    ]
    target = [] if arguments.p99 is None else ["--target-p99-ms", str(arguments.p99)]
    try:
        settings = read(BatcherSettings, [*others, *target])
    except SettingsError as error:
        end_with(SettingsError([fault.replace(TARGET, P99) if target else fault for fault in error.faults]))
    if fault := _fault_of(arguments.out):
        sys.stderr.write(f"autobatch tune: --out: {fault}\n")
        return 2
    logging.getLogger("autobatch_batcher").addHandler(logging.NullHandler())  # people are told here
    try:
        texts = built_in_texts() if arguments.texts is None else own_texts(arguments.texts)
        _say(f"measuring with {texts.about}, for about {arguments.seconds:.0f} s")
        if others_than_first := servers_of(settings.inference_url)[1:]:
            _say(f"only the first server is measured, and not {', '.join(map(without_credentials, others_than_first))}")
        began_s = perf_counter()
        measured = asyncio.run(measure(settings, texts, arguments.seconds, _say))
    except TextsError as error:
        sys.stderr.write(f"autobatch tune: --texts: {error}\n")
        return 2
    except MeasuringError as error:
        sys.stderr.write(f"autobatch tune: {error}\n")
        return 1
    conclude(measured, settings, arguments.out, perf_counter() - began_s)
    return 0


def conclude(measured: Measured, settings: BatcherSettings, out: Path, seconds: float) -> None:
    """Compute, print and write what follows from a measurement that took so many seconds."""
    _say("looking for the law that explains it")
    found = find_law(measured)
    _say(f"computing what the proxy would do\n\n{HEAD}")
    gains = []
    for clients in CLIENTS:
        gains.append(expected_gain(found, measured, clients, settings))
        _say(row_of(gains[-1]))
    advice = advise(measured, found, gains, settings.target_p99_ms)
    config = config_of(measured, advice, settings)
    _keep_earlier(out / "config.toml", config)
    (out / "config.toml").write_text(config, encoding="utf-8")
    (out / "report.html").write_text(render(measured, found, gains, advice, config, seconds), encoding="utf-8")
    report = {"verdict": advice.verdict, "gains": gains, "found": found, "measured": measured}
    (out / "report.json").write_bytes(msgspec.json.encode(report))
    _say("\n".join(["", *advice.costs, *(f"but {doubt}" for doubt in advice.doubts)]))
    _say(f"\n{advice.verdict}\nwritten: {out / 'config.toml'}, {out / 'report.html'}, {out / 'report.json'}")


def _fault_of(out: Path) -> str:
    """Return why no file could be written there, before a minute of measuring; empty: they can."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"{out}: {error.strerror}"
    return "" if os.access(out, os.W_OK) else f"{out}: cannot be written"


def _keep_earlier(file: Path, config: str) -> None:
    """Keep a file that may have been changed by hand."""
    if file.exists() and file.read_text(encoding="utf-8") != config:
        kept = file.with_suffix(".toml.bak")
        file.replace(kept)
        _say(f"the earlier {file} is now {kept}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="autobatch tune",
        description="Measure an embedding server with your own texts, and say what the proxy would gain in front of it. "
        "No proxy and no Redis are needed. Other settings are those of `autobatch batcher`, such as --inference-url and "
        "--inference-dialect, from flags, environment and files.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--texts",
        metavar="FILE",
        type=Path,
        help="one text a line, or a JSON string; without it built-in ones of mixed lengths",
    )
    parser.add_argument(
        "--p99", metavar="TIME", type=_milliseconds, help="what 99 of 100 requests should take at most, as 50ms or 2s"
    )
    parser.add_argument("--seconds", metavar="S", type=_seconds, default=60.0, help="how long to measure; 60")
    parser.add_argument(
        "--out", metavar="FOLDER", type=Path, default=Path("tuned"), help="where config.toml and report.html go; tuned"
    )
    parser.epilog = "--api-key KEY is the server's key, as INFERENCE_API_KEY."
    return parser


def _milliseconds(word: str) -> int:
    found = _duration(word)
    if found is None:
        raise argparse.ArgumentTypeError("must be a time, as 50ms or 2s")
    return round(float(found[1]) * (1000 if found[2] == "s" else 1))


def _seconds(word: str) -> float:
    try:
        seconds = float(word)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("must be 1 to 3600")
    return seconds


def row_of(gain: ExpectedGain) -> str:
    """Return a line of the table: what so many clients get, and how many of their requests are refused where that keeps a target."""
    proxied_p99 = f"{gain.proxied_p99_ms:6.0f}" if gain.proxied_per_s else f"{'-':>6}"
    refused = f"  {gain.refused:.0%} refused" if gain.refused > REFUSED_MAX else ""
    return (
        f"{gain.clients:7} {gain.direct_per_s:10.1f}{' ' if gain.is_measured else '~'} {gain.proxied_per_s:9.1f} {gain.gain:6.2f} "
        f"{gain.low:5.2f} to {gain.high:4.2f} {gain.direct_p99_ms:6.0f} > {proxied_p99}{refused}"
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
