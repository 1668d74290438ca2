"""The sides for the URLs of `autobatch bench compare`."""

import pytest
import typer

from autobatch_bench.commands.compare import compare, sides_of
from autobatch_bench.load.plain_http import AnswerError
from autobatch_bench.load.traffic import Endpoint


def test_without_the_workers_own_port_the_proxy_is_the_public_url() -> None:
    sides = sides_of("http://tei:8080", "http://edge", None, None)
    assert {name: side.target for name, side in sides.items()} == {
        "direct": Endpoint("tei", 8080),
        "proxy": Endpoint("edge", 80),
    }
    assert sides["proxy"].metrics is None


def test_with_it_the_public_url_is_nginxs() -> None:
    sides = sides_of("http://tei:8080", "http://edge:3000/", "http://worker:3001", "http://batcher:13000")
    assert sides["nginx"].target == Endpoint("edge", 3000)
    assert sides["proxy"].target == Endpoint("worker", 3001)
    assert sides["proxy"].metrics == Endpoint("batcher", 13000)


@pytest.mark.parametrize("url", ["https://tei", "tei:8080", "http://tei/embed", "http://tei:99999", "http://"])
def test_what_cannot_be_loaded_is_refused(url: str) -> None:
    with pytest.raises(typer.BadParameter):
        sides_of(url, "http://edge", None, None)


def test_a_proxy_that_is_not_there_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autobatch_bench.commands.compare.read", lambda *_: "{}")
    with pytest.raises(AnswerError, match=r"^http://127\.0\.0\.1:1: .*refused"):
        compare(direct="http://127.0.0.1:1", proxy="http://127.0.0.1:1")
