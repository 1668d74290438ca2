"""Calls over gRPC: each status as HTTP says it, who has hung up on whom, and when another server may answer."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import trustme

from autobatch_batcher.dialects.base import Get, Post, WantedModel
from autobatch_batcher.dialects.triton import Triton
from autobatch_batcher.tuning.tuner import Tuner
from autobatch_batcher.upstreams.clients.grpc_client import STATUSES, GrpcClient
from autobatch_batcher.upstreams.clients.upstream_client import CallConnection
from autobatch_batcher.upstreams.limits import configured
from autobatch_batcher.upstreams.replica import Replica
from autobatch_shared.contract.errors import UpstreamBroken, UpstreamProtocolError, UpstreamTimeout, UpstreamUnavailable
from autobatch_shared.kserve import SERVICE
from autobatch_shared.kserve import kserve_pb2 as kserve
from tests.support.ports import free_port
from tests.support.waiting import wait_until

CALL = Post(SERVICE + "ModelInfer", b"body", None)
EMPTY_SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # the frame of HTTP/2 with which a server begins
Context = Any  # grpc has no types
Serving = Callable[[str, bytes, Context], Awaitable[bytes]]


class Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """All methods by one function, of bytes."""

    def __init__(self, serve: Serving) -> None:
        self._serve = serve

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """Return the handler of a method."""

        async def handle(body: bytes, context: Context) -> bytes:
            return await self._serve(details.method.removeprefix(SERVICE), body, context)

        return grpc.unary_unary_rpc_method_handler(handle)


@asynccontextmanager
async def server_that(
    serve: Serving, port: int, leaf: trustme.LeafCert | None = None
) -> AsyncIterator[grpc.aio.Server]:
    """It speaks TLS where it has a certificate."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((Handlers(serve),))
    if leaf is None:
        server.add_insecure_port(f"127.0.0.1:{port}")
    else:
        chain = b"".join(each.bytes() for each in leaf.cert_chain_pems)
        server.add_secure_port(
            f"127.0.0.1:{port}", grpc.ssl_server_credentials([(leaf.private_key_pem.bytes(), chain)])
        )
    await server.start()
    try:
        yield server
    finally:
        await server.stop(None)


def client_of(port: int, *, key: str | None = None, answer_bytes_max: int = 1_000) -> GrpcClient:
    return GrpcClient(
        f"grpc://127.0.0.1:{port}", {"Authorization": f"Bearer {key}"} if key else {}, answer_bytes_max=answer_bytes_max
    )


async def echo(_method: str, body: bytes, _context: Context) -> bytes:
    return body


async def hang(_method: str, _body: bytes, _context: Context) -> bytes:
    await asyncio.get_running_loop().create_future()
    raise AssertionError


async def test_bytes_go_there_and_back() -> None:
    port = free_port()
    async with server_that(echo, port), client_of(port) as client:
        answer = await client.send(CALL, 30)

    assert (answer.status, answer.body) == (200, b"body")


@pytest.mark.parametrize("code", [code for code in STATUSES if code is not grpc.StatusCode.OK], ids=str)
async def test_what_the_server_says_is_an_answer(code: grpc.StatusCode) -> None:
    """Also where gRPC has the same word for what happens to a connection: only a deadline is never the server's."""

    async def refuse(_method: str, _body: bytes, context: Context) -> bytes:
        await context.abort(code, "as it is")
        return b""

    port = free_port()
    async with server_that(refuse, port), client_of(port) as client:
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            with pytest.raises(UpstreamTimeout):
                await client.send(CALL, 30)
            return
        answer = await client.send(CALL, 30)

    assert (answer.status, answer.body) == (STATUSES[code], b"as it is")


async def test_tls_is_spoken_with_one_whose_authority_is_trusted_and_with_no_other(tmp_path: Path) -> None:
    authority, other, port = trustme.CA(), trustme.CA(), free_port()
    for ca, name in ((authority, "its"), (other, "another")):
        ca.cert_pem.write_to_path(str(tmp_path / name))
    url = f"grpcs://127.0.0.1:{port}"
    async with server_that(echo, port, authority.issue_cert("127.0.0.1")):
        async with GrpcClient(url, {}, ca_file=str(tmp_path / "its")) as client:
            answer = await client.send(CALL, 5)
        for ca_file in (str(tmp_path / "another"), None):
            async with GrpcClient(url, {}, ca_file=ca_file) as client:
                with pytest.raises(UpstreamUnavailable):
                    await client.send(CALL, 5)
                assert not await client.listens(CALL)

    assert (answer.status, answer.body) == (200, b"body")


@pytest.mark.parametrize("is_further", [False, True])
async def test_this_machines_authorities_are_trusted_also_beside_further_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_further: bool
) -> None:
    """Those that gRPC brings do not have what an administrator has added to this machine."""
    authority, port = trustme.CA(), free_port()
    for ca, name in ((authority, "own"), (trustme.CA(), "further")):
        ca.cert_pem.write_to_path(str(tmp_path / name))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "own"))
    ca_file = str(tmp_path / "further") if is_further else None
    async with (
        server_that(echo, port, authority.issue_cert("127.0.0.1")),
        GrpcClient(f"grpcs://127.0.0.1:{port}", {}, ca_file=ca_file) as client,
    ):
        assert (await client.send(CALL, 30)).body == b"body"


async def test_this_machines_authorities_that_are_replaced_count_for_the_next_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after, port, file = trustme.CA(), trustme.CA(), free_port(), tmp_path / "own.pem"
    before.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    async with GrpcClient(f"grpcs://127.0.0.1:{port}", {}) as client:
        async with server_that(echo, port, before.issue_cert("127.0.0.1")):
            assert await is_answered(client)
        after.cert_pem.write_to_path(str(file))
        async with server_that(echo, port, after.issue_cert("127.0.0.1")):
            await wait_until(lambda: is_answered(client))


async def test_authorities_that_are_replaced_in_their_file_count_for_the_next_connection(tmp_path: Path) -> None:
    """And the connection that exists goes on, also while there is no such file."""
    before, after, port, file = trustme.CA(), trustme.CA(), free_port(), tmp_path / "ca.pem"
    before.cert_pem.write_to_path(str(file))

    async with GrpcClient(f"grpcs://127.0.0.1:{port}", {}, ca_file=str(file)) as client:
        async with server_that(echo, port, before.issue_cert("127.0.0.1")):
            assert await is_answered(client)
            file.unlink()
            assert await is_answered(client)
        async with server_that(echo, port, after.issue_cert("127.0.0.1")):
            await wait_until(lambda: cause_of_call(client, "tls: INFERENCE_CA_FILE: not a file of PEM certificates"))
            with pytest.raises(ssl.SSLError, match="INFERENCE_CA_FILE: not a file"):
                await client.fetch(CALL)
            after.cert_pem.write_to_path(str(file))
            await wait_until(lambda: is_answered(client))
        assert client.connected_s > 0


async def is_answered(client: GrpcClient) -> bool:
    with suppress(UpstreamUnavailable):
        return (await client.send(CALL, 5)).status == 200
    return False


async def cause_of_call(client: GrpcClient, cause: str) -> bool:
    with pytest.raises(UpstreamUnavailable) as caught:
        await client.send(CALL, 5)
    return caught.value.cause.startswith(cause)


async def test_a_call_in_flight_outlives_the_authorities_of_its_connection(tmp_path: Path) -> None:
    """Its server takes no more calls, and the next one has another authority."""
    before, after, port, file = trustme.CA(), trustme.CA(), free_port(), tmp_path / "ca.pem"
    before.cert_pem.write_to_path(str(file))
    is_asked, may_answer = asyncio.Event(), asyncio.Event()

    async def late(_method: str, body: bytes, _context: Context) -> bytes:
        is_asked.set()
        await may_answer.wait()
        return body

    async with (
        server_that(late, port, before.issue_cert("127.0.0.1")) as stopping,
        GrpcClient(f"grpcs://127.0.0.1:{port}", {}, ca_file=str(file)) as client,
    ):
        call = asyncio.create_task(client.send(CALL, 60))
        await is_asked.wait()
        stop = asyncio.create_task(stopping.stop(60))
        await wait_until(lambda: is_free(port))
        after.cert_pem.write_to_path(str(file))
        async with server_that(echo, port, after.issue_cert("127.0.0.1")):
            await wait_until(lambda: is_answered(client))
            assert not call.done()
            may_answer.set()
            assert (await call).body == b"body"
        await stop


def is_free(port: int) -> bool:
    with suppress(OSError), socket.create_server(("127.0.0.1", port)):
        return True
    return False


async def test_one_that_does_not_listen_is_unavailable() -> None:
    async with client_of(free_port()) as client:
        with pytest.raises(UpstreamUnavailable) as caught:
            await client.send(CALL, 30)

        assert not isinstance(caught.value, UpstreamBroken)
        assert "refused" in caught.value.cause
        assert not await client.listens(CALL)
        with pytest.raises(ConnectionRefusedError):
            await client.fetch(CALL)


async def test_one_that_ends_during_a_call_has_hung_up() -> None:
    """As a process does that is killed: without a last word."""

    async def end_in_mid_call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(EMPTY_SETTINGS)
        await reader.readuntil(CALL.body)
        writer.close()

    server = await asyncio.start_server(end_in_mid_call, "127.0.0.1", 0)
    async with server, client_of(server.sockets[0].getsockname()[1]) as client:
        with pytest.raises(UpstreamBroken):
            await client.send(CALL, 30)


async def test_a_deadline_is_passed_on_and_ends_the_call_on_both_sides() -> None:
    left_s: list[float] = []
    port, ended = free_port(), asyncio.Event()

    async def note(_method: str, _body: bytes, context: Context) -> bytes:
        left_s.append(context.time_remaining())
        try:
            return await hang("", b"", context)
        finally:
            ended.set()

    async with server_that(note, port), client_of(port) as client:

        async def has_reached_it() -> bool:  # in so short a time a busy machine may not
            left_s.clear()
            ended.clear()
            with pytest.raises(UpstreamTimeout):
                await client.send(CALL, 0.3)
            return left_s != [] and left_s[0] > 0

        await wait_until(has_reached_it)
        async with asyncio.timeout(60):
            await ended.wait()

    assert left_s[0] <= 0.31


async def test_a_call_that_is_cancelled_here_is_cancelled_there() -> None:
    port, began, ended = free_port(), asyncio.Event(), asyncio.Event()

    async def note(_method: str, _body: bytes, context: Context) -> bytes:
        began.set()
        try:
            return await hang("", b"", context)
        except asyncio.CancelledError:
            ended.set()
            raise

    async with server_that(note, port), client_of(port) as client:
        call = asyncio.create_task(client.send(CALL, 20))
        await began.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        async with asyncio.timeout(60):
            await ended.wait()


async def test_an_answer_that_is_too_large_is_refused() -> None:
    port = free_port()
    async with server_that(echo, port), client_of(port) as client:
        with pytest.raises(UpstreamProtocolError, match="more than 1000 bytes"):
            await client.send(Post(CALL.path, bytes(2_000), None), 30)


async def test_the_key_is_a_bearer_token() -> None:
    async def say_key(_method: str, _body: bytes, context: Context) -> bytes:
        return str(dict(context.invocation_metadata())["authorization"]).encode()

    port = free_port()
    async with server_that(say_key, port), client_of(port, key="secret") as client:
        assert (await client.send(CALL, 30)).body == b"Bearer secret"


async def test_a_new_connection_is_noted() -> None:
    """Another server may answer on it, with another model."""
    port = free_port()
    async with client_of(port) as client:
        async with server_that(echo, port):
            await client.send(CALL, 30)
            await wait_until(lambda: client.connected_s > 0)
            first_s = client.connected_s
            await client.send(CALL, 30)
            assert client.connected_s == first_s
        async with server_that(echo, port):
            connection = CallConnection(client)
            await wait_until(lambda: client.listens(CALL))
            await client.fetch(CALL, connection)

            assert client.connected_s > first_s


async def test_what_only_http_can_ask_is_not_there() -> None:
    async with client_of(free_port()) as client:
        assert (404, b"") == await client.fetch(Get("/info"))


# A replica whose upstream is a model server.

METADATA = kserve.ModelMetadataResponse(
    name="minilm",
    versions=["1"],
    inputs=[kserve.ModelMetadataResponse.Tensor(name="text", datatype="BYTES", shape=[-1, 1])],
    outputs=[kserve.ModelMetadataResponse.Tensor(name="embedding", datatype="FP32", shape=[-1, 3])],
)


class FakeModelServer:
    """Knows one model, of vectors of three numbers."""

    def __init__(self) -> None:
        self.is_ready = True
        self.inputs_max = 8

    async def serve(self, method: str, body: bytes, context: Context) -> bytes:
        """Answer one call."""
        if kserve.ModelMetadataRequest.FromString(body).name != "minilm" and method != "ModelReady":
            await context.abort(grpc.StatusCode.NOT_FOUND, "Request for unknown model")
        answers: dict[str, Callable[[bytes], Any]] = {
            "ModelReady": self.ready,
            "ModelMetadata": self.metadata,
            "ModelConfig": self.config,
            "ModelInfer": self.infer,
        }
        message = answers[method](body)
        return bytes(message.SerializeToString())

    def ready(self, _body: bytes) -> kserve.ModelReadyResponse:
        return kserve.ModelReadyResponse(ready=self.is_ready)

    def metadata(self, _body: bytes) -> kserve.ModelMetadataResponse:
        return METADATA

    def config(self, _body: bytes) -> kserve.ModelConfigResponse:
        return kserve.ModelConfigResponse(config=kserve.ModelConfigResponse.Config(max_batch_size=self.inputs_max))

    def infer(self, body: bytes) -> kserve.ModelInferResponse:
        count = kserve.ModelInferRequest.FromString(body).inputs[0].shape[0]
        output = kserve.ModelInferResponse.Output(name="embedding", datatype="FP32", shape=[count, 3])
        return kserve.ModelInferResponse(outputs=[output], raw_output_contents=[bytes(12 * count)])


def replica_of(client: GrpcClient, port: int, model: str = "minilm") -> Replica:
    dialects = Triton.for_upstream("", WantedModel(model))
    return Replica(f"grpc://127.0.0.1:{port}", client, dialects, configured(32, 10**6), Tuner(1))


async def test_a_replica_learns_what_a_model_server_serves() -> None:
    port, model = free_port(), FakeModelServer()
    async with server_that(model.serve, port), client_of(port) as client:
        upstream = replica_of(client, port)
        await upstream.prober.probe()

        assert upstream.is_healthy
        assert upstream.limits.inputs_max == 8
        assert upstream.standing.served is not None
        assert (upstream.card.name, upstream.standing.served.dimension) == ("minilm", 3)
        answer = await upstream.call(upstream.dialect.compose("/embed", [b'"a"', b'"b"'], None), 5)
        assert upstream.dialect.cut(answer, "/embed", 2, ()) == [b"[0.0,0.0,0.0]"] * 2

        model.is_ready = False
        await upstream.prober.probe()
        assert not upstream.is_healthy


async def test_a_model_that_the_server_has_not_is_named_with_its_setting() -> None:
    port = free_port()
    async with server_that(FakeModelServer().serve, port), client_of(port) as client:
        upstream = replica_of(client, port, "nope")
        await upstream.prober.probe()

    assert "no model `nope`" in upstream.standing.reason
    assert "UPSTREAM_MODEL" in upstream.standing.reason
