"""The preflight before real servers: each that is not what it should be is recognised, and within two seconds."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import grpc.aio
import pytest
import trustme
from aiohttp import web

from autobatch_console.preflight import inquiry
from autobatch_console.preflight.diagnoses import Diagnosis
from autobatch_console.preflight.inquiry import LIMIT_S, QueueOf, ask_redis, ask_upstreams
from autobatch_console.preflight.upstreams import grpc_inquiry
from autobatch_console.preflight.upstreams.upstream_inquiry import UpstreamAccess
from autobatch_shared.kserve import kserve_pb2 as kserve
from autobatch_shared.settings.definitions import servers_of
from tests.support.fake_upstream import FakeUpstream
from tests.support.house import ready_house
from tests.support.servers.locked_redis import LockedRedis, tls_options, words
from tests.support.servers.masters import GROUPS, make_group
from tests.support.servers.redis_server import RedisServer
from tests.support.waiting import wait_until

KEY = "upstream-key"
MODELS = {"object": "list", "data": [{"id": "bge-m3", "object": "model"}]}
PAGE = "<!doctype html><title>Sign in</title>"


async def _describe(request: Any, context: Any) -> Any:
    if request.name != "minilm":
        await context.abort(grpc.StatusCode.NOT_FOUND, "unknown model")
    output = kserve.ModelMetadataResponse.Tensor(name="embedding", datatype="FP32", shape=[-1, 384])
    return kserve.ModelMetadataResponse(name="minilm", outputs=[output])


async def _is_ready(_request: Any, _context: Any) -> Any:
    return kserve.ModelReadyResponse(ready=True)


MODELS_OVER_GRPC = grpc.method_handlers_generic_handler(
    "inference.GRPCInferenceService",
    {
        name: grpc.unary_unary_rpc_method_handler(answer, asked.FromString, said.SerializeToString)
        for name, answer, asked, said in (
            ("ModelMetadata", _describe, kserve.ModelMetadataRequest, kserve.ModelMetadataResponse),
            ("ModelReady", _is_ready, kserve.ModelReadyRequest, kserve.ModelReadyResponse),
        )
    },
)


@asynccontextmanager
async def serving_grpc(leaf: trustme.LeafCert | None = None, *, serves: bool = True) -> AsyncIterator[str]:
    """A server of gRPC with one model, with TLS where it has a certificate; its address."""
    server, address = grpc.aio.server(), "127.0.0.1:0"
    server.add_generic_rpc_handlers([MODELS_OVER_GRPC] if serves else [])
    if leaf is None:
        port = server.add_insecure_port(address)
    else:
        chain = b"".join(each.bytes() for each in leaf.cert_chain_pems)
        port = server.add_secure_port(address, grpc.ssl_server_credentials([(leaf.private_key_pem.bytes(), chain)]))
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@asynccontextmanager
async def serving(
    answer: Callable[[web.Request], Awaitable[web.Response]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """A server whose every path is answered by one function; its URL without a scheme."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    yield f"127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def openai_only(request: web.Request) -> web.Response:
    """As vLLM and Ollama answer."""
    vector = {"data": [{"embedding": [0.1, 0.2, 0.3], "index": 0}]}
    answers = {"/v1/models": MODELS, "/v1/embeddings": vector}
    return web.json_response(answers[request.path]) if request.path in answers else web.Response(status=404)


async def login_page(_request: web.Request) -> web.Response:
    return web.Response(text=PAGE, content_type="text/html")


async def guarded(request: web.Request) -> web.Response:
    """As TEI with `--api-key` answers."""
    if request.path != "/health" and request.headers.get("Authorization") != f"Bearer {KEY}":
        return web.Response(status=401)
    bodies: dict[str, object] = {"/info": {"model_id": "m"}, "/embed": [[1, 2, 3]], "/health": {}}
    return web.json_response(bodies[request.path])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port whose packets are dropped: the queue of connections is full, so the kernel answers no further one."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield server.getsockname()[1]


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of a busy machine takes longer than a second."""
    monkeypatch.setattr(inquiry, "LIMIT_S", 30.0)


@pytest.fixture
def _limit(_patience: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit as it is, for what never answers."""
    monkeypatch.setattr(inquiry, "LIMIT_S", LIMIT_S)


def keyed(key: str) -> UpstreamAccess:
    return UpstreamAccess({"Authorization": f"Bearer {key}"})


async def one(asked: Awaitable[list[Diagnosis]]) -> Diagnosis:
    async with asyncio.timeout(60):  # TCP's own limit is two minutes
        (diagnosis,) = await asked
    return diagnosis


async def test_an_upstream_is_right_with_its_model_and_the_dimension_of_its_vector(upstream: FakeUpstream) -> None:
    diagnosis = await one(ask_upstreams([upstream.url], UpstreamAccess()))
    assert diagnosis.state == "right"
    assert f"{upstream.url} serves fake, " in diagnosis.what


async def test_a_path_too_much_is_found_and_what_to_remove_is_said(upstream: FakeUpstream) -> None:
    diagnosis = await one(ask_upstreams([f"{upstream.url}/embed/"], UpstreamAccess()))
    assert (diagnosis.state, diagnosis.remedy) == ("wrong", "remove /embed from the URL")


@pytest.mark.parametrize("path", ["", "/v1", "/v1/embeddings?version=1"])
async def test_a_server_of_openais_api_is_right(path: str) -> None:
    async with serving(openai_only) as place:
        diagnosis = await one(ask_upstreams(servers_of(f"http://{place}{path}"), UpstreamAccess()))
    assert diagnosis.state == "right"
    assert "serves bge-m3, 3 dimensions, by OpenAI's API" in diagnosis.what


async def test_a_login_page_is_recognised() -> None:
    async with serving(login_page) as place:
        diagnosis = await one(ask_upstreams([f"http://{place}"], UpstreamAccess()))
    assert "web page" in diagnosis.what


async def test_a_key_is_missing_or_wrong_or_right() -> None:
    async with serving(guarded) as place:
        missing = await one(ask_upstreams([f"http://{place}"], UpstreamAccess()))
        wrong = await one(ask_upstreams([f"http://{place}"], keyed("another")))
        right = await one(ask_upstreams([f"http://{place}"], keyed(KEY)))
    assert missing.setting == wrong.setting == "INFERENCE_API_KEY"
    assert (right.state, right.what) == ("right", f"http://{place} serves m, 3 dimensions")


async def test_tls_that_is_not_trusted_and_tls_that_is_not_there(upstream: FakeUpstream) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    async with serving(guarded, tls) as place:
        untrusted = await one(ask_upstreams([f"https://{place}"], UpstreamAccess()))
    plain = await one(ask_upstreams([upstream.url.replace("http://", "https://")], UpstreamAccess()))

    assert untrusted.state == plain.state == "wrong"
    assert "certificate" in untrusted.what
    assert plain.remedy == "write http:// instead of https://"


@pytest.mark.parametrize(
    ("name", "ends", "said", "advice"),
    [
        ("127.0.0.1", datetime(2020, 2, 2, tzinfo=UTC), "certificate has expired", "renew its certificate"),
        ("elsewhere", None, "IP address mismatch", "write the name that its certificate is for"),
    ],
)
async def test_what_is_wrong_with_a_certificate_of_a_known_authority_decides_the_advice(
    name: str, ends: datetime | None, said: str, advice: str
) -> None:
    authority, tls, trust = (
        trustme.CA(),
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH),
        ssl.create_default_context(),
    )
    authority.issue_cert(name, not_before=datetime(2020, 1, 1, tzinfo=UTC), not_after=ends).configure_cert(tls)
    authority.configure_trust(trust)
    async with serving(guarded, tls) as place:
        diagnosis = await one(ask_upstreams([f"https://{place}"], UpstreamAccess(trust=trust)))

    assert diagnosis.state == "wrong"
    assert said in diagnosis.what
    assert diagnosis.remedy.startswith(advice)


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_an_upstream_that_asks_for_a_client_certificate_is_not_told_to_speak_tls(newest: ssl.TLSVersion) -> None:
    authority, tls, trust = (
        trustme.CA(),
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH),
        ssl.create_default_context(),
    )
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    tls.maximum_version, tls.verify_mode = newest, ssl.CERT_REQUIRED
    for context in (tls, trust):
        authority.configure_trust(context)
    async with serving(guarded, tls) as place:
        diagnosis = await one(ask_upstreams([f"https://{place}"], UpstreamAccess(trust=trust)))

    assert "if it asks for a client certificate, ask a proxy" in diagnosis.remedy
    assert "https://" not in diagnosis.remedy


async def test_a_redis_that_asks_for_a_client_certificate_is_told_how_to_give_one(
    own_redis: RedisServer, locked_redis: LockedRedis, unused_port: int, tmp_path: Path
) -> None:
    if not locked_redis.has_tls:
        pytest.skip("the server was built without TLS")
    own_redis.start(*words(tls_options(tmp_path, unused_port) | {"tls-auth-clients": "yes"}))

    diagnosis = await one(ask_redis(f"rediss://127.0.0.1:{unused_port}?ssl_ca_certs={tmp_path}/ca.crt", "test"))

    assert "ssl_certfile=FILE" in diagnosis.remedy


async def test_an_upstream_that_does_not_listen_yet_is_waited_for(unused_port: int) -> None:
    diagnosis = await one(ask_upstreams([f"http://127.0.0.1:{unused_port}"], UpstreamAccess()))
    assert diagnosis.state == "loading"
    assert "ECONNREFUSED" in diagnosis.what


@pytest.mark.usefixtures("_limit")
async def test_dropped_packets_are_no_reason_to_wait(silent_port: int) -> None:
    upstream = await one(ask_upstreams([f"http://127.0.0.1:{silent_port}"], UpstreamAccess()))
    redis = await one(ask_redis(f"redis://127.0.0.1:{silent_port}", "test"))
    assert "does not answer" in upstream.what
    assert "does not answer" in redis.what


async def test_an_unhealthy_upstream_is_waited_for(upstream: FakeUpstream) -> None:
    upstream.is_healthy = False
    diagnosis = await one(ask_upstreams([upstream.url], UpstreamAccess()))
    assert (diagnosis.state, diagnosis.what) == ("loading", f"{upstream.url} answers 503 at /health")


async def test_a_name_that_does_not_exist_is_said_for_both() -> None:
    upstream = await one(ask_upstreams(["http://no-such-host.invalid"], UpstreamAccess()))
    redis = await one(ask_redis("redis://no-such-host.invalid", "test"))
    assert "cannot be resolved" in upstream.what
    assert "cannot be resolved" in redis.what


async def test_redis_as_deployed_is_right_for_its_namespace_and_wrong_for_another(locked_redis: LockedRedis) -> None:
    assert (await one(ask_redis(locked_redis.url, "test"))).state == "right"

    diagnosis = await one(ask_redis(locked_redis.url, "other"))
    assert "may not use " in diagnosis.what
    assert "{other}:*" in diagnosis.what


async def test_redis_with_tls_asked_without_it_or_without_its_authority(locked_redis: LockedRedis) -> None:
    if not locked_redis.has_tls:
        pytest.skip("the server was built without TLS")
    with_tls = locked_redis.url.partition("?")[0]

    untrusted = await one(ask_redis(with_tls, "test"))
    plain = await one(ask_redis(with_tls.replace("rediss://", "redis://"), "test"))

    assert "ssl_ca_certs" in untrusted.remedy
    assert plain.remedy.startswith("write rediss://")


@pytest.mark.usefixtures("_limit")
async def test_redis_without_tls_asked_with_it(unused_port: int) -> None:
    """It takes the handshake for a command that has not come whole, and waits for the rest."""
    async with await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", unused_port):

        async def is_recognised() -> bool:  # unless a busy machine needs the whole second to connect
            diagnosis = await one(ask_redis(f"rediss://127.0.0.1:{unused_port}", "test"))
            is_told = "it does not speak TLS" in diagnosis.what
            return is_told and diagnosis.remedy == "write redis:// instead of rediss://"

        await wait_until(is_recognised)


@pytest.mark.parametrize("option", ["--requirepass", "--replicaof"])
async def test_redis_that_does_not_let_us_in_or_takes_no_writes(own_redis: RedisServer, option: str) -> None:
    own_redis.start(option, *(("secret",) if option == "--requirepass" else ("127.0.0.1", "1")))
    diagnosis = await one(ask_redis(own_redis.url, "test"))
    assert diagnosis.state == "wrong"
    assert ("NOAUTH" if option == "--requirepass" else "is a replica") in diagnosis.what


async def test_redis_that_takes_smaller_values_than_our_limits_is_a_risk(own_redis: RedisServer) -> None:
    own_redis.start("--proto-max-bulk-len", "1mb")
    assert (await one(ask_redis(own_redis.url, "test", {"PAYLOAD_LIMIT": 1_048_576}))).state == "right"

    diagnosis = await one(ask_redis(own_redis.url, "test", {"PAYLOAD_LIMIT": 1_048_577}))
    assert (diagnosis.state, diagnosis.setting) == ("risky", "REDIS_URL")
    assert "at most 1048576 bytes" in diagnosis.what


@pytest.mark.parametrize("kind", GROUPS)
async def test_the_master_is_asked_however_it_is_found(kind: str, tmp_path: Path) -> None:
    group = make_group(kind, tmp_path, "test")
    try:
        await group.start()
        assert (await one(ask_redis(group.url, "test"))).state == "right"
    finally:
        await group.close()


async def test_sentinels_that_cannot_be_asked_are_said(unused_port: int) -> None:
    diagnosis = await one(ask_redis(f"redis+sentinel://127.0.0.1:{unused_port}/main", "test"))
    why = f"(127.0.0.1:{unused_port}: ECONNREFUSED)"
    assert (diagnosis.state, diagnosis.what) == ("wrong", f"No Sentinel names a master of main {why}")


async def test_another_server_at_redis_address_is_no_redis(upstream: FakeUpstream) -> None:
    diagnosis = await one(ask_redis(f"redis://127.0.0.1:{upstream.port}", "test"))
    assert diagnosis.what == f"what answers at 127.0.0.1:{upstream.port} is not Redis"


async def test_a_file_of_redis_url_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    diagnosis = await one(ask_redis(f"rediss://127.0.0.1?ssl_ca_certs={tmp_path}/none", "test"))
    assert diagnosis.state == "wrong"
    assert "a file of its parameters cannot be read" in str(diagnosis)


async def test_a_namespace_in_which_live_batchers_serve_another_model_is_named(redis_url: str) -> None:
    """`up` would wait in vain: an upstream of another model gets no calls."""
    async with serving_upstream("old") as old, serving_upstream("new") as new, ready_house(redis_url, old.url):
        queue = QueueOf(redis_url, "house")
        right, risky = await ask_upstreams([new.url], UpstreamAccess(), queue)
        assert [right.state, risky.state, risky.setting] == ["right", "risky", "NAMESPACE"]
        assert f"{new.url} serves another model: model_id new and not old" in risky.what
        for other in (queue._replace(namespace="other"), queue._replace(model="named"), queue._replace(redis_url="")):
            assert [each.state for each in await ask_upstreams([new.url], UpstreamAccess(), other)] == ["right"]


@asynccontextmanager
async def serving_upstream(model: str) -> AsyncIterator[FakeUpstream]:
    upstream = FakeUpstream(info={"model_id": model})
    await upstream.start()
    yield upstream
    await upstream.stop()


async def test_a_redis_of_another_age_is_too_old() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"2\r\n")
        writer.write(b"-ERR unknown command `HELLO`, with args beginning with: `2`, \r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        diagnosis = await one(ask_redis(f"redis://127.0.0.1:{port}", "test"))
    assert diagnosis.remedy.startswith("use Redis or Valkey 7.0 or newer")


@pytest.mark.parametrize("hello", [b"%1\r\n+server\r\n+redis\r\n", b":7\r\n", b"%1\r\n*0\r\n+x\r\n"])
async def test_an_answer_of_another_shape_is_not_redis(hello: bytes, unused_port: int) -> None:
    class Answers(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            transport.write(hello)

    async with await asyncio.get_running_loop().create_server(Answers, "127.0.0.1", unused_port):
        diagnosis = await one(ask_redis(f"redis://127.0.0.1:{unused_port}", "test"))
    assert diagnosis.what == f"what answers at 127.0.0.1:{unused_port} is not Redis"


@pytest.mark.parametrize("kind", ["Sentinels", "cluster"])
async def test_a_master_that_others_name_is_found_and_looked_at(kind: str) -> None:
    with TemporaryDirectory(prefix="ab-") as folder:
        group = make_group(kind, Path(folder), "test")
        try:
            await group.start()
            (diagnosis,) = await ask_redis(group.url, "test")
        finally:
            await group.close()
    assert diagnosis.state == "right"
    assert diagnosis.what.endswith(f"127.0.0.1:{group.master.port}")


@pytest.mark.parametrize("url", ["redis+sentinel://127.0.0.1:{0}/queue", "redis+cluster://127.0.0.1:{0}"])
async def test_a_master_that_is_not_found_is_wrong(url: str, unused_port: int) -> None:
    (diagnosis,) = await ask_redis(url.format(unused_port), "test")
    assert (diagnosis.state, diagnosis.setting) == ("wrong", "REDIS_URL")


@pytest.fixture
def _patient_inquiry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take longer to start the process that asks."""
    monkeypatch.setattr(grpc_inquiry, "START_S", 60.0)


async def asked_over_grpc(url: str, trust: ssl.SSLContext | None = None) -> tuple[str, str]:
    (diagnosis,) = await ask_upstreams([url], UpstreamAccess({}, trust, "minilm"))
    return diagnosis.state, diagnosis.remedy


@pytest.mark.usefixtures("_patient_inquiry")
async def test_an_upstream_over_grpc_says_what_it_serves() -> None:
    async with serving_grpc() as address, serving_grpc(serves=False) as other:
        found = await ask_upstreams([f"grpc://{address}"], UpstreamAccess({}, None, "minilm"))
        unknown = await ask_upstreams([f"grpc://{address}"], UpstreamAccess({}, None, "nosuch"))
        foreign = await ask_upstreams([f"grpc://{other}"], UpstreamAccess({}, None, "minilm"))

    assert ("right", f"grpc://{address} serves minilm, 384 dimensions, over gRPC") == (found[0].state, found[0].what)
    assert ("wrong", "UPSTREAM_MODEL") == (unknown[0].state, unknown[0].setting)
    assert "not the Open Inference Protocol" in foreign[0].what


@pytest.mark.usefixtures("_patient_inquiry")
async def test_an_upstream_over_grpc_has_to_speak_it(upstream: FakeUpstream) -> None:
    authority = trustme.CA()
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    async with serving_grpc() as plain, serving_grpc(authority.issue_cert("127.0.0.1")) as secured:
        assert ("right", "") == await asked_over_grpc(f"grpc://{plain}")
        assert ("right", "") == await asked_over_grpc(f"grpcs://{secured}", trust)
        assert "right" != (await asked_over_grpc(f"grpc://{secured}"))[0]
        assert ("wrong", "write grpc:// instead of grpcs://") == await asked_over_grpc(f"grpcs://{plain}", trust)
        state, remedy = await asked_over_grpc(f"grpc://127.0.0.1:{upstream.port}")
        assert ("wrong", True) == (state, "http:// instead of grpc://" in remedy)
        state, remedy = await asked_over_grpc(f"http://{plain}")
        assert ("wrong", True) == (state, "grpc:// instead of http://" in remedy)


@pytest.mark.usefixtures("_patient_inquiry")
async def test_an_upstream_over_grpc_is_trusted_by_this_machines_authorities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "own.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "own.pem"))
    async with serving_grpc(authority.issue_cert("127.0.0.1")) as secured:
        assert ("right", "") == await asked_over_grpc(f"grpcs://{secured}")
