"""Requests that are not load: ask the upstream for vectors, one text at a time, and read a page."""

import http.client
from functools import partial

import orjson

from autobatch_bench.checking.checks import Ask, Vector, vectors_in
from autobatch_bench.load.asking import TEI, Form
from autobatch_bench.load.traffic import Endpoint

ANSWER_S = 60.0


class AnswerError(Exception):
    """A server did not answer with status 200."""


def asker(target: Endpoint, form: Form = TEI) -> Ask:
    """Return a function that asks this upstream for vectors."""
    return partial(_vectors, target, form)


def post(target: Endpoint, path: str, body: object = None) -> bytes:
    """POST JSON and return the answer's body.

    Raises:
        AnswerError: The status was not 200.
    """
    return _fetch(target, "POST", path, orjson.dumps(body))


def read(target: Endpoint, path: str) -> str:
    """GET a page.

    Raises:
        AnswerError: The status was not 200.
    """
    return _fetch(target, "GET", path, None).decode()


def _vectors(target: Endpoint, form: Form, texts: list[str]) -> list[Vector]:
    """Make one call for each text, so that each is computed alone."""
    vectors: list[Vector] = []
    for text in texts:
        vectors += vectors_in(_fetch(target, "POST", form.path, form.body_of((text,)).encode()))
    return vectors


def _fetch(target: Endpoint, method: str, path: str, body: bytes | None) -> bytes:
    connection = http.client.HTTPConnection(target.host, target.port, timeout=ANSWER_S)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        data = response.read()
    except OSError as error:
        raise AnswerError(f"{method} http://{target.host}:{target.port}{path}: {error}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise AnswerError(
            f"{method} http://{target.host}:{target.port}{path} answered {response.status}: {data[:200]!r}"
        )
    return data
