"""Every route of clients, asked of `autobatch up` before every kind of server. See docs/upstreams/matrix.md, which these tests make."""

import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import numpy as np
import pytest
import trustme

from tests.servers.direct import Vector, vectors_of
from tests.servers.matrix import document
from tests.servers.matrix.asking import Asker
from tests.servers.matrix.document import ServerColumn
from tests.servers.matrix.questions import MODEL, ROWS, TEXTS
from tests.servers.matrix.system import up_before
from tests.servers.model_server import SERVERS, START_S, InferenceServer
from tests.support.fake_upstream import vector
from tests.support.paid.paid_api import PaidApi
from tests.support.paths import ROOT
from tests.support.waiting import wait_until

RESULTS = "SERVERS_RESULTS"  # the folder for what was seen; without it, that is compared with the document
REFUSALS = {404, 422, 424}  # of what there is not; any other status is a failure


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose name is short enough for unix sockets."""
    with TemporaryDirectory(prefix="ab-") as path:
        yield Path(path)


@pytest.mark.parametrize("server_name", SERVERS, indirect=True)
async def test_each_route_is_answered_as_by_the_server_or_refused_with_a_reason(
    server_name: str, server: InferenceServer, folder: Path
) -> None:
    own = await vectors_once_ready(server)
    wanted = {"upstream_model": MODEL} if server.url.startswith("grpc") else {}
    async with up_before(folder, server.url, **wanted) as system, aiohttp.ClientSession() as http:
        tei_url = server.url if server_name in ("tei", "embedder") else None
        column = await system.column(Asker(http, system.url, own, server.companions_change, tei_url))
    note(server_name, column)


async def test_a_paid_api_with_a_private_certificate_and_a_path(folder: Path) -> None:
    authority, tls = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    ca_file = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    paid, own = PaidApi(), {text: np.array(vector(text), np.float32) for text in TEXTS}
    async with (
        paid.listening(tls) as url,
        up_before(folder, url, inference_api_key=paid.key, inference_ca_file=ca_file) as system,
        aiohttp.ClientSession() as http,
    ):
        column = await system.column(Asker(http, system.url, own, 1e-6))

    assert paid.answered
    note("paid", column)


async def vectors_once_ready(server: InferenceServer) -> dict[str, Vector]:
    """Return the vectors of the texts, as the server itself computes them."""
    found: list[Vector] = []

    async def are_computed() -> bool:
        try:
            found[:] = await vectors_of(server, TEXTS)
        except Exception:  # noqa: BLE001  # whatever a server that starts answers
            return False
        return True

    await wait_until(are_computed, START_S)
    return dict(zip(TEXTS, found, strict=True))


def note(name: str, column: ServerColumn) -> None:
    """Keep what was seen, or compare it with the document."""
    refused = {row: cell for row, cell in column.items() if cell.status != 200}
    assert {row: cell for row, cell in refused.items() if cell.status not in REFUSALS or not cell.reason} == {}
    if folder := os.environ.get(RESULTS):
        document.keep(Path(folder), name, column)
        return
    said = document.statuses_in((ROOT / "docs" / "upstreams" / "matrix.md").read_text())
    assert {row: cell.status for row, cell in column.items()} == {row: said[row][name] for row in ROWS}
