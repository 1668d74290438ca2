"""Models of the hub from its cache, laid out as `huggingface_hub` lays it out, without a network."""

import logging
import threading
import zlib
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType

import orjson
import pytest
from huggingface_hub import constants

from autobatch_embedder.errors import ModelFolderError
from autobatch_embedder.model_files import folder_reading, hub
from tests.support.models.tiny_models import tiny_config, tiny_tensors, write_json, write_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache; the library reads the environment at its import, so its constants are set here."""
    cache = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return cache


def cached(cache: Path, repository: str, revision: str = "main") -> Path:
    """Put a model into the cache as its `main`; return its folder there."""
    root = cache / f"models--{repository.replace('/', '--')}"
    path = write_model(root / "snapshots" / COMMIT, tiny_config("bert"), tiny_tensors("bert"), mode="cls_token")
    (root / "refs").mkdir()
    (root / "refs" / revision).write_text(COMMIT)
    return path


def test_a_model_is_found_by_its_id_without_a_network(cache: Path) -> None:
    path = cached(cache, "BAAI/bge-tiny")

    folder = folder_reading.find(None, model_id="BAAI/bge-tiny")

    assert (path, "BAAI/bge-tiny", "cls", None) == (folder.path, folder.model_id, folder.pooling, folder.revision)


def test_a_revision_is_looked_up_and_shown(cache: Path) -> None:
    cached(cache, "BAAI/bge-tiny", "v1")

    assert "v1" == folder_reading.find(None, model_id="BAAI/bge-tiny", revision="v1").revision
    with pytest.raises(ModelFolderError, match="the hub's model BAAI/bge-tiny: "):
        folder_reading.find(None, model_id="BAAI/bge-tiny")


@pytest.mark.parametrize("model_id", ["nobody/nothing", "not an id", "a/b/c"])
def test_a_model_that_is_not_there_is_refused_by_name(model_id: str) -> None:
    with pytest.raises(ModelFolderError, match=f"the hub's model {model_id}: "):
        folder_reading.find(None, model_id=model_id)


class Hub(BaseHTTPRequestHandler):
    """A hub of the files below `folder`; of any other model it says that there is none.

    Attributes:
        folder: Of its model.
        cut: The end of the name of files that it sends the first half of.
    """

    folder: Path
    cut: str | None = None

    def do_HEAD(self) -> None:
        """Describe a file."""
        self.do_GET()

    def do_GET(self) -> None:
        """Describe the model, or return a file of it."""
        if self.path.startswith("/api/models/some/model/tree/"):
            self._answer(orjson.dumps([{"type": "file", "path": name, "size": 1, "oid": "1"} for name in self._names]))
        elif self.path.startswith("/api/models/some/model"):
            siblings = [{"rfilename": name} for name in self._names]
            self._answer(orjson.dumps({"id": "some/model", "sha": COMMIT, "siblings": siblings}))
        elif self.path.startswith(files := f"/some/model/resolve/{COMMIT}/"):
            content = (self.folder / self.path.removeprefix(files)).read_bytes()
            self._answer(content, {"etag": f'"{zlib.crc32(content)}"', "x-repo-commit": COMMIT})
        else:
            self._answer(b"", {"x-error-code": "RepoNotFound"}, status=404)

    def log_message(self, *_args: object) -> None:
        """Nothing."""

    @property
    def _names(self) -> list[str]:
        return [str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()]

    def _answer(self, body: bytes, headers: Mapping[str, str] = MappingProxyType({}), status: int = 200) -> None:
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            is_cut = self.cut and self.path.endswith(self.cut)
            self.wfile.write(body[: len(body) // 2] if is_cut else body)


@pytest.fixture
def online(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Ask a hub on this machine; yields the folder of its model."""
    path = write_model(tmp_path / "model", tiny_config("bert"), tiny_tensors("bert"))
    monkeypatch.setattr(Hub, "folder", path, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        )
        yield path
        server.shutdown()
        serving.join()


@pytest.mark.usefixtures("online")
def test_what_the_hub_refuses_is_said_in_full_and_in_one_line() -> None:
    with pytest.raises(ModelFolderError, match=r"404 Client Error\. Repository Not Found for url: .* authenticated"):
        hub.folder("no/model", None)


@pytest.mark.usefixtures("online")
def test_a_download_that_always_ends_early_is_said_in_one_line_and_its_warnings_are_in_the_log_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Hub, "cut", "model.safetensors")
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _seconds: None)  # before each of its trials

    with pytest.raises(ModelFolderError, match=r"^the hub's model some/model: .*without sending complete message body"):
        hub.folder("some/model", None)

    assert "Trying to resume download" in caplog.text
    assert capsys.readouterr().err == ""


def test_files_that_are_fetched_fill_neither_the_log_nor_the_console(
    online: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger("httpx2").setLevel(logging.NOTSET)
    with caplog.at_level(logging.INFO):
        found = folder_reading.find(None, model_id="some/model")

    assert (online / "model.safetensors").read_bytes() == (found.path / "model.safetensors").read_bytes()
    assert [record.message for record in caplog.records] == ["hub_model"]
    assert capsys.readouterr().err == ""


def test_a_network_in_a_folder_of_its_own_is_fetched(online: Path) -> None:
    """As Sentence Transformers before 2 saved it."""
    modules = orjson.loads((online / "modules.json").read_bytes())
    write_json(online / "modules.json", [{**modules[0], "path": "0_Transformer"}, *modules[1:]])
    (online / "0_Transformer").mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (online / name).rename(online / "0_Transformer" / name)

    found = folder_reading.find(None, model_id="some/model")

    assert "0_Transformer" == found.path.name
    assert found.tensors()


@pytest.mark.parametrize(
    ("published", "fetched"),
    [
        (("onnx/model.onnx", "onnx/model.onnx_data", "model.onnx"), {"onnx/model.onnx", "onnx/model.onnx_data"}),
        (("model.onnx", "model.onnx_data"), {"model.onnx", "model.onnx_data"}),
    ],
)
def test_of_a_repositorys_graphs_only_the_one_that_is_served_is_fetched(
    online: Path, published: tuple[str, ...], fetched: set[str]
) -> None:
    config = orjson.loads((online / "config.json").read_bytes())
    write_json(online / "config.json", {**config, "model_type": "t5"})
    (online / "onnx").mkdir()
    for name in published:
        (online / name).write_bytes(b"graph")

    folder = folder_reading.find(None, model_id="some/model")

    assert folder.published_graph is not None
    assert folder.published_graph.read_bytes() == b"graph"
    assert fetched == {str(path.relative_to(folder.path)) for path in folder.path.rglob("model.onnx*")}


def test_an_unknown_family_without_a_graph_is_refused_by_file_and_field(cache: Path) -> None:
    write_json(cached(cache, "some/t5") / "config.json", {"model_type": "t5"})

    with pytest.raises(
        ModelFolderError, match=r"config\.json: model_type is 't5'; understood are bert, .*, or an onnx/model\.onnx"
    ):
        folder_reading.find(None, model_id="some/t5")


def test_a_folder_and_an_id_at_once_are_refused() -> None:
    with pytest.raises(ModelFolderError, match="EMBEDDER_MODEL_DIR and EMBEDDER_MODEL_ID are both set"):
        folder_reading.find("folder", model_id="a/b")
