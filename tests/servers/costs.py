"""`python -m tests.servers.costs`: what a call costs the process that makes it, for each kind of upstream.

Calls are made one after the other, by the batcher's own clients and dialects; a process of its own answers them at once, with the same
numbers each time. Beside the kinds stands text-embeddings-inference over gRPC (`tei.v1`), which is none: one message a text, in one
stream a call. Nothing checks it, and its numbers are printed as those of the others.
"""

import statistics
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import grpc.aio
import numpy as np
import orjson
import uvloop
from aiohttp import web
from tokenizers import Tokenizer

from autobatch_batcher.dialects.base import Dialect, WantedModel
from autobatch_batcher.dialects.float32_text import print_row
from autobatch_batcher.dialects.openai import OpenAI
from autobatch_batcher.dialects.tei import Tei
from autobatch_batcher.dialects.text_tokens import TokenIds
from autobatch_batcher.dialects.triton import ModelTensors, Triton
from autobatch_batcher.upstreams.clients.grpc_client import GrpcClient
from autobatch_batcher.upstreams.clients.http_client import HttpClient
from autobatch_batcher.upstreams.clients.http_connections import open_sessions
from autobatch_embedder.model_files import folder_reading
from autobatch_shared.kserve import SERVICE
from autobatch_shared.kserve import kserve_pb2 as kserve
from tests.support.ports import free_port

SIZES = (1, 32)  # texts of a call
ROUNDS, CALLS = 7, 60
NUMBERS = np.random.default_rng(7).normal(0, 0.05, 384).astype("<f4")
TEXT = "the quick brown fox jumps over the lazy dog and runs"
EMBED_STREAM = "/tei.v1.Embed/EmbedStream"
ONE_TEXT = b"\x0a%c%b" % (len(TEXT), TEXT.encode())  # EmbedRequest: field 1, the text
ONE_VECTOR = b"\x0a\x80\x0c%b" % NUMBERS.tobytes()  # EmbedResponse: field 1, 1,536 bytes of packed float32

Calling = Callable[[int], Awaitable[float]]  # makes a call of so many texts; returns the seconds that its dialect used


# What answers.


def tei_answer(count: int) -> bytes:
    """As text-embeddings-inference writes it."""
    return b"[%b]" % b",".join([print_row(NUMBERS.tobytes())] * count)


def openai_answer(count: int, *, in_base64: bool) -> bytes:
    """As a server of OpenAI's API writes it; arrays with the digits of float64, as Python's servers do."""
    vector = b64encode(NUMBERS.tobytes()).decode() if in_base64 else NUMBERS.astype(float).tolist()
    data = [{"object": "embedding", "index": place, "embedding": vector} for place in range(count)]
    return orjson.dumps(
        {"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 9, "total_tokens": 9}}
    )


def triton_answer(count: int) -> bytes:
    """As Triton writes it."""
    output = kserve.ModelInferResponse.Output(name="embedding", datatype="FP32", shape=(count, len(NUMBERS)))
    said = kserve.ModelInferResponse(outputs=[output], raw_output_contents=[NUMBERS.tobytes() * count])
    return bytes(said.SerializeToString())


async def vectors(texts: AsyncIterator[bytes], _context: object) -> AsyncIterator[bytes]:
    """Answer each message of a stream."""
    async for _ in texts:
        yield ONE_VECTOR


async def infer(call: bytes, _context: object) -> bytes:
    """Answer as many inputs as there are."""
    return TRITON[kserve.ModelInferRequest.FromString(call).inputs[0].shape[0]]


TRITON = {size: triton_answer(size) for size in SIZES}


async def answer_all(http_port: int, grpc_port: int) -> None:
    """Listen until this process is killed; a path of HTTP is the kind and the number of texts."""
    bodies = {
        f"/{kind}/{size}": body
        for size in SIZES
        for kind, body in (
            ("tei", tei_answer(size)),
            ("base64", openai_answer(size, in_base64=True)),
            ("arrays", openai_answer(size, in_base64=False)),
        )
    }

    async def answer(request: web.BaseRequest) -> web.Response:
        await request.read()
        kind_and_size = "/".join(request.path.split("/")[:3])
        return web.Response(body=bodies[kind_and_size], content_type="application/json")

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", http_port).start()
    server = grpc.aio.server()
    methods = {
        EMBED_STREAM: grpc.stream_stream_rpc_method_handler(vectors),
        f"{SERVICE}ModelInfer": grpc.unary_unary_rpc_method_handler(infer),
    }
    for path, method in methods.items():
        _, service, name = path.split("/")
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: method}),))
    server.add_insecure_port(f"127.0.0.1:{grpc_port}")
    await server.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await server.wait_for_termination()


# What asks.


def calling(client: HttpClient | GrpcClient, dialect: Dialect) -> Calling:
    """Return what makes a call as the batcher does: compose, send, cut."""

    async def call(count: int) -> float:
        began_s = time.thread_time()
        post = dialect.compose("/embed", [orjson.dumps(TEXT)] * count, None)
        composed_s = time.thread_time()
        answer = await client.send(post, 60)
        answered_s = time.thread_time()
        assert len(dialect.cut(answer, "/embed", count, ())) == count
        return time.thread_time() - answered_s + composed_s - began_s

    return call


def calling_streams(channel: grpc.aio.Channel) -> Calling:
    """Return what makes a call of `tei.v1`."""
    method = channel.stream_stream(EMBED_STREAM)

    async def call(count: int) -> float:
        said = [each async for each in method(iter([ONE_TEXT] * count))]
        answered_s = time.thread_time()
        assert len([print_row(each[-4 * len(NUMBERS) :]) for each in said]) == count
        return time.thread_time() - answered_s

    return call


async def cost_us(call: Calling, count: int) -> tuple[float, float]:
    """Return the CPU time of one call in this process, its threads included, and the dialect's part of it."""
    started_s = time.process_time()
    own_s = sum([await call(count) for _ in range(CALLS)])
    return (time.process_time() - started_s) / CALLS * 1e6, own_s / CALLS * 1e6


async def measure(http_port: int, grpc_port: int) -> None:
    """Print a line for each kind: the median of rounds in which all of them take turns."""
    http, rpc = f"http://127.0.0.1:{http_port}", f"grpc://127.0.0.1:{grpc_port}"
    texts = Triton(WantedModel("m"), ModelTensors(("text",), "BYTES", 2, "embedding"))
    token_ids = TokenIds(Tokenizer.from_file(str(folder_reading.find(None).path / "tokenizer.json")))
    ids = Triton(
        WantedModel("m", token_ids=token_ids), ModelTensors(("input_ids", "attention_mask"), "INT64", 2, "embedding")
    )
    async with (
        open_sessions() as (session, _),
        GrpcClient(rpc, {}) as to_triton,
        grpc.aio.insecure_channel(rpc.removeprefix("grpc://")) as channel,
    ):
        kinds: dict[str, Callable[[int], Calling]] = {
            "`tei`": lambda size: calling(HttpClient(session, f"{http}/tei/{size}", None), Tei()),
            "`openai`, base64": lambda size: calling(HttpClient(session, f"{http}/base64/{size}", None), OpenAI()),
            "`openai`, arrays": lambda size: calling(
                HttpClient(session, f"{http}/arrays/{size}", None), OpenAI(hint="arrays are asked for")
            ),
            "`triton`, texts": lambda _: calling(to_triton, texts),
            "`triton`, token ids made of texts": lambda _: calling(to_triton, ids),
            "`tei.v1` over gRPC": lambda _: calling_streams(channel),
        }
        calls = {(kind, size): make(size) for kind, make in kinds.items() for size in SIZES}
        costs: dict[tuple[str, int], list[tuple[float, float]]] = {each: [] for each in calls}
        for _ in range(ROUNDS + 1):
            for (kind, size), call in calls.items():
                costs[kind, size].append(await cost_us(call, size))
    most = SIZES[-1]
    asked = " | ".join(f"a call of {size}, us" for size in SIZES)
    sys.stdout.write(f"| kind | {asked} | a text in a call of {most}, us | the dialect's part |\n")
    for kind in kinds:
        rounds = {size: costs[kind, size][1:] for size in SIZES}  # the first one makes connections
        cells = [_shown([whole for whole, _ in each]) for each in rounds.values()]
        a_text, own = (statistics.median(each) / most for each in zip(*rounds[most], strict=True))
        sys.stdout.write(f"| {kind} | {' | '.join(cells)} | {a_text:.1f} | {own:.1f} |\n")


def _shown(rounds: list[float]) -> str:
    return f"{statistics.median(rounds):.0f} ({min(rounds):.0f} to {max(rounds):.0f})"


def main() -> None:
    """Start what answers, and ask."""
    if sys.argv[1:]:
        uvloop.run(answer_all(*map(int, sys.argv[1:])))
        return
    ports = [str(free_port()), str(free_port())]
    with subprocess.Popen([sys.executable, "-m", "tests.servers.costs", *ports], stdout=subprocess.PIPE) as answering:
        try:
            assert answering.stdout is not None
            assert answering.stdout.readline() == b"ready\n"
            uvloop.run(measure(*map(int, ports)))
        finally:
            answering.kill()


if __name__ == "__main__":
    main()
