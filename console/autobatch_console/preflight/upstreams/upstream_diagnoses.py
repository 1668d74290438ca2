"""Judge the upstreams by what they answered. Pure.

It knows the routes of text-embeddings-inference, of OpenAI's API and of KServe v2, as the batcher's dialects do. A server may have either, or half
of one, and what to say of that depends on both: so all of it is in this file.
"""

from codecs import BOM_UTF8
from collections.abc import Sequence

from autobatch_console.preflight.connection_faults import ConnectionFaultKind
from autobatch_console.preflight.diagnoses import Diagnosis, DiagnosisState
from autobatch_console.preflight.upstreams.upstream_models import (
    decoded,
    different_models,
    dimension_of,
    model_chosen,
    model_of,
    models_listed,
    named,
    several_models,
)
from autobatch_console.preflight.upstreams.upstream_seen import (
    LISTS,
    NO_PATH,
    GrpcModel,
    InquiryAnswer,
    UpstreamSeen,
    fault_in,
    listing_in,
    models_in,
    shown,
    words_of,
)
from autobatch_shared.settings.choices import is_api_root

SETTING = "INFERENCE_URL"
OTHER_MODEL = "name one of them that computes vectors"
NO_NAME = "a model that it does not name"
WAIT = "wait: it loads its model, or is busy"
FAILS = "look into its log: it fails"
NO_VECTOR = "look into its log: its model computes nothing, or it is another server than text-embeddings-inference"
#: A gateway without its server, a server that loads its model, one that has too many requests.
_WAITING = {429, 502, 503, 504}
_NONE = InquiryAnswer(0)
NO_CERTIFICATE = "if it asks for a client certificate, ask a proxy before it that shows one: autobatch shows none"
NOT_TEI = "give the URL of a server with text-embeddings-inference's API, or OpenAI's"

_ADVICE: dict[ConnectionFaultKind, str] = {
    "unresolved": "correct the name, or the resolver of this machine",
    "refused": "start the server, or correct the address; one that loads its model may not listen yet",
    "silent": "correct the address, or let the firewall between pass it",
    "unreachable": "correct the address, or the routes of this machine",
    "untrusted": "give the file of the certificate's authority as INFERENCE_CA_FILE, or add it to this machine's",
    "expired": "renew its certificate, or correct this machine's clock",
    "misnamed": "write the name that its certificate is for",
    "asks_certificate": NO_CERTIFICATE,
    "no_tls": "write http:// instead of https://",
    "tls_only": "write grpcs:// instead of grpc://",
    "no_grpc": "give the port of its gRPC, or write http:// instead of grpc://",
    "no_http": "write grpc:// instead of http:// if this is its port for gRPC, and UPSTREAM_MODEL; else correct the port",
    "hung_up": "correct the port; write https:// if it speaks TLS only",
}
_TLS_ADVICE: dict[ConnectionFaultKind, str] = {"hung_up": f"correct the port; {NO_CERTIFICATE}"}
_GRPC_ADVICE: dict[ConnectionFaultKind, str] = {
    "no_tls": "write grpc:// instead of grpcs://",
    "hung_up": "correct the port; write grpcs:// if it speaks TLS only",
}
#: Of these another try may go well while nothing is changed: one that loads its model does not listen yet.
_MAY_COME = {"refused", "hung_up"}


def judge_upstreams(seen: Sequence[UpstreamSeen]) -> list[Diagnosis]:
    """Return what there is to say about each of them, and whether all serve one model.

    One of several that cannot be reached, or fails, prevents nothing while another one is right.
    """
    diagnoses = [_judge(each) for each in seen]
    if any(diagnosis.state == "right" for diagnosis in diagnoses):
        diagnoses = [
            Diagnosis("loading", diagnosis.setting, diagnosis.what, diagnosis.remedy)
            if diagnosis.state == "wrong" and (each.fault is not None or diagnosis.remedy == FAILS)
            else diagnosis
            for diagnosis, each in zip(diagnoses, seen, strict=True)
        ]
    return diagnoses + several_models(seen) + different_models(seen)


def _judge(seen: UpstreamSeen) -> Diagnosis:
    if seen.is_grpc and (seen.fault is None or not seen.model):
        return _about_grpc(seen)
    if seen.fault is not None:
        state: DiagnosisState = "loading" if seen.fault.kind in _MAY_COME else "wrong"
        advice = _ADVICE | (_GRPC_ADVICE if seen.is_grpc else {})
        advice |= _TLS_ADVICE if seen.url.startswith(("https://", "grpcs://")) else {}
        return Diagnosis(state, SETTING, seen.fault.sentence(seen.url), advice.get(seen.fault.kind, ""))
    if not seen.answers:
        what = f"{seen.url} accepts connections and does not answer in time"
        return Diagnosis("loading", SETTING, what, f"{WAIT}; correct the address if it is another server")
    info, embed = seen.answers["/info"], seen.answers.get("/embed", _NONE)
    for answer in (info, embed):
        if diagnosis := _about_access(seen, answer) or _about_place(seen.url, answer):
            return diagnosis
    if diagnosis := _about_openai(seen, info) or _about_api(seen, info, embed):
        return diagnosis
    return _about_health(seen) or _about_vector(seen, embed)


def _about_grpc(seen: UpstreamSeen) -> Diagnosis:
    """One that can be reached, or whose model is not named: the batcher does not start without its name."""
    url, model, said = seen.url, seen.model, seen.grpc_model
    if not model:
        what = f"not set, and {url}, which is called over gRPC, may have several models"
        return Diagnosis("wrong", "UPSTREAM_MODEL", what, "set it to the name of one of them")
    if seen.missing:
        return Diagnosis("wrong", SETTING, f"{url}: {seen.missing}")
    if said is None:
        return Diagnosis("loading", SETTING, f"{url} speaks gRPC and does not say in time what it serves", WAIT)
    return _about_access(seen, InquiryAnswer(said.status)) or _about_grpc_model(url, shown(model), said)


def _about_grpc_model(url: str, model: str, said: GrpcModel) -> Diagnosis:
    if said.status == 404:
        return Diagnosis("wrong", "UPSTREAM_MODEL", f"{url} has no model {model}", OTHER_MODEL)
    if said.status == 501:
        what = f"{url} speaks gRPC, and not the Open Inference Protocol (KServe v2)"
        return Diagnosis("wrong", SETTING, what, "give the address of a server such as Triton or MLServer")
    if said.status != 200:
        return _about_status(url, "ModelMetadata", said.status)
    if not said.is_ready:
        return Diagnosis("loading", SETTING, f"{url} has the model {model}, which is not ready", WAIT)
    dimensions = f", {said.dimension} dimensions" if said.dimension else ""
    return Diagnosis("right", SETTING, f"{url} serves {model}{dimensions}, over gRPC")


def _about_access(seen: UpstreamSeen, answer: InquiryAnswer) -> Diagnosis | None:
    if answer.status in (401, 403):
        what = f"{seen.url} answers {answer.status}"
        return Diagnosis("wrong", seen.key_setting, what, "set it to the key that this server asks for")
    return None


def _about_place(url: str, answer: InquiryAnswer) -> Diagnosis | None:
    """Whether the answer is of a server of another kind, at whatever path."""
    if 300 <= answer.status < 400:
        return Diagnosis(
            "wrong", SETTING, f"{url} redirects to {shown(answer.location)}", "write where it redirects to"
        )
    if answer.status == 400 and b"HTTPS port" in answer.body:
        return Diagnosis("wrong", SETTING, f"{url} speaks TLS only", "write https:// instead of http://")
    if answer.status == 200 and _is_page(answer):
        what = f"{url} answers with a web page, so it is a web server or a login page and no embedding server"
        return Diagnosis("wrong", SETTING, what, "correct the address")
    return None


def _about_openai(seen: UpstreamSeen, info: InquiryAnswer) -> Diagnosis | None:
    """The diagnosis of a server that lists models as OpenAI does, refuses to, or computes without, and has no `/info`."""
    if info.status == 200:
        return None
    listing = listing_in(seen.answers)
    if not listing:
        lists = (seen.answers.get(path, _NONE) for path in LISTS)
        return next(filter(None, (_about_access(seen, each) for each in lists)), None) or _about_unlisted(seen)
    if not model_chosen(seen):
        what = f"not set, and {seen.url} lists the models {named(models_listed(seen))}, and none is called {shown(seen.names[0])}"
        return Diagnosis("wrong", "UPSTREAM_MODEL", what, "set it to the one that is meant")
    asked = LISTS[listing]
    answer = seen.answers.get(asked, _NONE)
    if not answer.status:
        return Diagnosis("loading", SETTING, f"{seen.url} computes no vector in time at {asked}", WAIT)
    if answer.status != 200:
        what = f"{seen.url} answers {answer.status} at {asked}; it lists the models {named(models_listed(seen))}"
        return _about_access(seen, answer) or Diagnosis("wrong", "UPSTREAM_MODEL", what, OTHER_MODEL)
    return _about_openai_vector(seen, asked, answer)


def _about_unlisted(seen: UpstreamSeen) -> Diagnosis | None:
    """The diagnosis of a server that has only OpenAI's route for vectors, by its answer to a text."""
    asked = next((path for path in LISTS.values() if seen.answers.get(path, _NONE).status not in {0, *NO_PATH}), "")
    if not asked:
        return None
    answer = seen.answers[asked]
    if answer.status == 200:
        return _about_openai_vector(seen, asked, answer)
    if answer.status in _WAITING or answer.status >= 500:
        return _about_status(seen.url, asked, answer.status)
    what = f"{seen.url} answers {answer.status} at {asked}, and lists no models"
    return _about_access(seen, answer) or Diagnosis("wrong", "UPSTREAM_MODEL", what, "name the model that it serves")


def _about_openai_vector(seen: UpstreamSeen, asked: str, answer: InquiryAnswer) -> Diagnosis:
    if dimension := dimension_of(answer):
        name = model_of(seen).name or NO_NAME
        return Diagnosis("right", SETTING, f"{seen.url} serves {name}, {dimension} dimensions, by OpenAI's API")
    return Diagnosis("wrong", SETTING, f"{seen.url} answers a text at {asked} with no vector", NO_VECTOR)


def _about_api(seen: UpstreamSeen, info: InquiryAnswer, embed: InquiryAnswer) -> Diagnosis | None:
    """Whether the server lacks what is called, and what else it seems to be."""
    if info.status != 404 or embed.status not in {0, *NO_PATH}:
        return None
    root, path = _split(seen.url)
    if _is_description(seen.root_answers.get("/info")):
        what = f"{seen.url} has neither /info nor /embed (404), and {root} has"
        return Diagnosis("wrong", SETTING, what, f"remove {path} from the URL")
    if models_in(seen.root_answers.get("/v1/models")):
        what = f"{seen.url} has no /v1/models (404), and {root} has"
        return Diagnosis("wrong", SETTING, what, f"remove {path} from the URL")
    asked = LISTS["/models" if is_api_root(seen.url) else "/v1/models"]
    message, code = words_of(seen.answers.get(asked, _NONE))
    if message:
        what = f"{seen.url} answers 404 at {asked}: {shown(message)}"
        setting = "UPSTREAM_MODEL" if code == "model_not_found" else SETTING
        return Diagnosis("wrong", setting, what, "correct the URL, its deployment, or the model's name")
    what = f"{seen.url} has neither /info nor /embed nor /v1/embeddings (404)"
    return Diagnosis("wrong", SETTING, what, NOT_TEI)


def _about_health(seen: UpstreamSeen) -> Diagnosis | None:
    health = seen.answers.get("/health", _NONE)
    if health.status == 404:
        return Diagnosis("wrong", SETTING, f"{seen.url} has no /health (404)", NOT_TEI)
    if not health.status:
        return Diagnosis("loading", SETTING, f"{seen.url} does not answer at /health in time", WAIT)
    if health.status != 200:
        return _about_status(seen.url, "/health", health.status)
    info = seen.answers["/info"]
    return _about_status(seen.url, "/info", info.status) if info.status >= 500 else None


def _about_vector(seen: UpstreamSeen, embed: InquiryAnswer) -> Diagnosis:
    """The diagnosis of one that is healthy. Of a model that computes no vectors, none is expected."""
    model = model_of(seen)
    serves = f"{seen.url} serves {model.name or NO_NAME}"
    if dimension := dimension_of(embed):
        return Diagnosis("right", SETTING, f"{serves}, {dimension} dimensions")
    if not _computes_vectors(seen, embed):
        return Diagnosis("right", SETTING, serves)
    if not embed.status:
        return Diagnosis("loading", SETTING, f"{seen.url} computes no vector in time at /embed", WAIT)
    if embed.status == 404:
        return Diagnosis("wrong", SETTING, f"{seen.url} has no /embed (404)", NOT_TEI)
    if embed.status != 200:
        return _about_status(seen.url, "/embed", embed.status)
    rows = decoded(embed)
    said = fault_in(rows) if rows is not None else _no_json(embed.body)
    return Diagnosis("wrong", SETTING, f"{seen.url} answers a text at /embed with {said}", NO_VECTOR)


def _no_json(body: bytes) -> str:
    if body.startswith(BOM_UTF8):
        return "a byte order mark, which JSON has not"
    return f"{shown(body.decode(errors='replace'))!r}, which is no JSON"


def _about_status(url: str, path: str, status: int) -> Diagnosis:
    if status in _WAITING:
        return Diagnosis("loading", SETTING, f"{url} answers {status} at {path}", WAIT)
    return Diagnosis("wrong", SETTING, f"{url} answers {status} at {path}", FAILS)


def _computes_vectors(seen: UpstreamSeen, embed: InquiryAnswer) -> bool:
    """Whether its model is not of another kind; 424 is how text-embeddings-inference says that it is."""
    match decoded(seen.answers.get("/info")):
        case {"model_type": {"classifier": _} | {"reranker": _} | {"embedding": {"pooling": "splade"}}}:
            return False
    return embed.status != 424


def _is_description(answer: InquiryAnswer | None) -> bool:
    return isinstance(decoded(answer), dict)


def _is_page(answer: InquiryAnswer) -> bool:
    return answer.content_type == "text/html" or answer.body.lstrip()[:9].lower() in (b"<!doctype", b"<html>")


def _split(url: str) -> tuple[str, str]:
    """A URL as its server's root, and the path that follows it."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host}", slash + path
