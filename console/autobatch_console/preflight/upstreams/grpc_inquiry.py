"""Ask a server of the Open Inference Protocol (KServe v2) over gRPC what it serves, in a process of its own: `python -m` this module.

`up` starts processes for as long as it runs, and a process that has called gRPC should not fork. The question is JSON on standard
input, with its headers, which the arguments of a process would show; so is the answer on standard output.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from autobatch_console.preflight.upstreams.upstream_seen import GrpcModel
from autobatch_shared.kserve import SERVICE

MODULE = "autobatch_console.preflight.upstreams.grpc_inquiry"
START_S = 1.0  # of Python and of gRPC's packages, beside the time for the answer
FAILED = 503  # every failure that is not in this table is one of the moment
STATUSES = {"NOT_FOUND": 404, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "UNIMPLEMENTED": 501}


async def ask_model(
    target: str, model: str, headers: Mapping[str, str], authorities: str | None, limit_s: float
) -> GrpcModel | None:
    """Return what a server says of a model; None where it says nothing in time.

    Args:
        target: Host and port.
        model: The model's name.
        headers: What every question has.
        authorities: Certificates in PEM that its own is checked by; empty: those that gRPC brings; None: it is called without TLS.
        limit_s: Seconds for the answers.
    """
    question = {
        "target": target,
        "model": model,
        "metadata": [(name.lower(), value) for name, value in headers.items()],
        "authorities": authorities,
        "limit_s": limit_s,
    }
    pipe = asyncio.subprocess.PIPE
    asking = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", MODULE), stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(START_S + limit_s):
            said, _ = await asking.communicate(json.dumps(question).encode())
        return GrpcModel(**json.loads(said))
    except (TimeoutError, ValueError, TypeError):
        return None
    finally:
        with suppress(ProcessLookupError):
            asking.kill()
        await asking.wait()


def answer_of(question: Mapping[str, Any]) -> GrpcModel | None:
    """Ask, and return the answer."""
    import grpc  # noqa: PLC0415 - an extra, and only this process may import it

    from autobatch_shared.kserve import kserve_pb2 as kserve  # noqa: PLC0415

    target, authorities = question["target"], question["authorities"]
    if authorities is None:
        channel = grpc.insecure_channel(target)
    else:
        channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(authorities.encode() or None))

    def ask(method: str, message: Any) -> bytes:
        metadata = tuple(map(tuple, question["metadata"]))
        call = channel.unary_unary(SERVICE + method)
        answered: bytes = call(message.SerializeToString(), timeout=question["limit_s"], metadata=metadata)
        return answered

    try:
        described = ask("ModelMetadata", kserve.ModelMetadataRequest(name=question["model"]))
        ready = ask("ModelReady", kserve.ModelReadyRequest(name=question["model"]))
    except grpc.RpcError as error:
        code = error.code().name
        return None if code == "DEADLINE_EXCEEDED" else GrpcModel(STATUSES.get(code, FAILED))
    shapes = [output.shape for output in kserve.ModelMetadataResponse.FromString(described).outputs]
    dimension = shapes[0][-1] if len(shapes) == 1 and shapes[0] else -1
    return GrpcModel(
        200, is_ready=kserve.ModelReadyResponse.FromString(ready).ready, dimension=dimension if dimension > 0 else None
    )


if __name__ == "__main__":
    answer = answer_of(json.load(sys.stdin))
    sys.stdout.write(json.dumps(answer and answer._asdict()))
