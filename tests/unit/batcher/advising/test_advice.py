"""What the user is told."""

import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from autobatch_batcher.advising.__main__ import row_of
from autobatch_batcher.advising.advice import Advice, advise, verdict_of
from autobatch_batcher.advising.config_file import config_of
from autobatch_batcher.advising.measuring.measured import Measured, TimedCall, TimedLoad
from autobatch_batcher.advising.prediction import ExpectedGain, FoundLaw
from autobatch_batcher.advising.tune_page import render
from autobatch_batcher.simulating.law import law_of
from autobatch_shared.settings.definitions import BatcherSettings
from autobatch_shared.settings.loading import read

LENGTHS = tuple(range(20, 148))
MEASURED = Measured(
    url="http://embed:8080",
    kind="tei",
    model="MiniLM <v2>",
    inputs_max=32,
    tokens_max=256,
    characters_per_token=4.5,
    texts="9 texts of own.txt",
    texts_kind="mixed texts",
    lengths=LENGTHS,
    calls=(TimedCall((80,) * 8, (0.010, 0.011, 0.012)),),
    loads=(TimedLoad(1, ((80,),), 100.0, 10.0, 20.0),),
)
FOUND = FoundLaw(law_of("padded:fixed_ms=4,per_unit_us=13"), 0.02, 0.04, 1.0)


def settings_of(**changed: Any) -> BatcherSettings:
    settings: dict[str, Any] = {"inference_url": MEASURED.url, **changed}
    return BatcherSettings.model_construct(**settings)


def gain(
    clients: int, times: float, *, low: float | None = None, p99_ms: float = 10.0, refused: float = 0.0
) -> ExpectedGain:
    return ExpectedGain(
        clients=clients,
        direct_per_s=100.0,
        direct_p50_ms=5.0,
        direct_p99_ms=2 * p99_ms,
        is_measured=True,
        proxied_per_s=100 * times,
        proxied_p50_ms=4.0,
        proxied_p99_ms=p99_ms,
        batch=3.0,
        calls=1.0,
        cpu_ms=0.5,
        refused=refused,
        low=times * 0.95 if low is None else low,
        high=times * 1.05,
    )


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        ([gain(1, 0.8), gain(4, 1.2), gain(64, 1.5)], "1.5 x at 64 clients with mixed texts; of no use below 4"),
        ([gain(1, 1.2), gain(4, 1.1)], "1.2 x at 1 client with mixed texts"),
        (
            [gain(1, 0.8), gain(16, 1.5), gain(64, 1.4), gain(256, 0.22, refused=0.78)],
            "1.5 x at 16 clients with mixed texts; of no use below 16; 0.22 x at 256 clients, where 78% are refused",
        ),
        (
            [gain(1, 0.8), gain(64, 5.29, refused=0.93)],
            "5.3 x at 64 clients with mixed texts, where 93% are refused; of no use below 64",
        ),
        ([gain(1, 0.8), gain(64, 1.04)], "of no use with mixed texts: 1.04 x at best, at 64 clients"),
        (
            [gain(1, 0.8), gain(64, 1.4, low=0.9)],
            "cannot be told with mixed texts: 1.40 x at 64 clients, but between 0.90 and 1.47; measure again when nothing else uses the machine",
        ),
    ],
)
def test_the_verdict_is_one_sentence(gains: list[ExpectedGain], said: str) -> None:
    """A gain that noise may have made is none."""
    assert said == verdict_of(gains, "mixed texts")


def test_what_was_only_simulated_makes_no_verdict() -> None:
    guessed = [msgspec.structs.replace(gain(clients, 11.7), is_measured=False) for clients in (64, 256)]
    assert (
        "of no use with mixed texts: 0.98 x at best, at 4 clients; more than 4 clients were not measured"
        == verdict_of([gain(1, 0.8), gain(4, 0.98), *guessed], "mixed texts")
    )
    assert verdict_of(guessed, "mixed texts").startswith("cannot be said")


def test_a_row_says_how_many_are_refused_and_no_latency_where_none_is_answered() -> None:
    assert row_of(gain(64, 5.29, refused=0.93)).endswith("20 >     10  93% refused")
    nothing = msgspec.structs.replace(gain(256, 0.0, refused=1.0), proxied_p50_ms=0.0, proxied_p99_ms=0.0)
    assert row_of(nothing).endswith("20 >      -  100% refused")
    assert row_of(gain(64, 1.5)).endswith("20 >     10")
    page = PageText()
    page.feed(render(MEASURED, FOUND, [gain(64, 5.29, refused=0.93), nothing], advice(), "a = 1", 60.0))
    assert {"refused", "93%", "100%", "-"} <= set(page.texts)


def advice(target_ms: int | None = None) -> Advice:
    gains = [gain(1, 0.8), gain(64, 1.5, p99_ms=40.0), gain(256, 1.5, p99_ms=45.0, refused=0.3)]
    return advise(MEASURED, FOUND, gains, target_ms)


def test_a_wanted_p99_is_answered_for_both_sides() -> None:
    assert advice(50).verdict.endswith(
        "; p99 within 50 ms through the proxy up to 64 clients and directly up to 1 client"
    )
    assert advice(5).verdict.endswith("through the proxy at no number of clients and directly at no number of clients")


def test_a_target_that_nobody_gets_is_no_setting() -> None:
    text = config_of(MEASURED, advice(5), settings_of(target_p99_ms=5))
    assert "target_p99_ms" not in tomllib.loads(text)
    assert "\n# target_p99_ms = 5\n" in text


def test_all_servers_stay_in_the_file_though_one_is_measured() -> None:
    several = settings_of(inference_url=f"{MEASURED.url},http://me:secret@other:81/embed")
    assert tomllib.loads(config_of(MEASURED, advice(), several))["inference_url"] == f"{MEASURED.url},http://other:81"


def test_what_no_law_explains_has_no_verdict() -> None:
    told = advise(MEASURED, msgspec.structs.replace(FOUND, load_error=0.54), [gain(1, 1.34), gain(16, 3.1)], 50)
    assert told.verdict.startswith("cannot be said: no law explains what was measured to within 54%")
    assert "3.1 x" not in told.verdict
    assert "# But clients got 54% more or less" in config_of(MEASURED, told, settings_of())


def test_costs_are_said_by_call_text_and_token() -> None:
    costs = "; ".join(advice().costs)
    assert "a call costs 4.00 ms" in costs
    assert "58.5 us a token" in costs  # 13 us a character
    assert "it pads" in costs
    assert re.search(r"its knee is at \d+ texts of 84 characters", costs)


def test_what_makes_figures_doubtful_is_said() -> None:
    assert () == advice().doubts
    few = TimedLoad(64, ((80,),), 100.0, 10.0, 20.0, is_whole=False)
    busy = msgspec.structs.replace(
        MEASURED, busy_before=0.5, calls=(TimedCall((9,), (0.1, 0.1)),), loads=(*MEASURED.loads, few)
    )
    doubts = "; ".join(advise(busy, msgspec.structs.replace(FOUND, drift=1.5, load_error=0.3), [gain(1, 1)]).doubts)
    for part in (
        "others used 50%",
        "1.5 times slower",
        "30% more or less",
        "fewer than three times",
        "64 clients or more",
    ):
        assert part in doubts


def test_the_file_is_read_by_the_batcher_and_has_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = settings_of(inference_api_key=SecretStr("secret-1"), target_p99_ms=50, upstream_model='it\'s "mine"')
    text = config_of(MEASURED, advice(), given)
    Path("config.toml").write_text(text)
    assert "secret-1" not in text
    assert text.startswith(f"# {advice().verdict}\n")
    settings = read(BatcherSettings, [])
    assert ("http://embed:8080", "tei", 50) == (
        settings.inference_url,
        settings.inference_dialect,
        settings.target_p99_ms,
    )
    assert 'it\'s "mine"' == settings.upstream_model
    assert {"inference_url", "inference_dialect", "upstream_model", "target_p99_ms", "max_batch_size"} == set(
        tomllib.loads(text)
    )


class PageText(HTMLParser):
    """The text of a page, and what it would load."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.loads: list[str] = []

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href", "srcset", "action")]


def test_the_page_begins_with_the_verdict_and_loads_nothing() -> None:
    told, page = advice(), PageText()
    gains = [gain(1, 0.8), msgspec.structs.replace(gain(64, 1.5), is_measured=False)]
    page.feed(render(MEASURED, FOUND, gains, told, "a = 1", 60.0))
    title, _style, verdict, *rest = page.texts
    assert "autobatch before http://embed:8080" == title
    assert told.verdict[1:] in verdict
    assert [] == page.loads
    text = " ".join(rest)
    assert "MiniLM <v2>" in text
    assert "simulated" in text
