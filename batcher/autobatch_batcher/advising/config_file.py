"""The `config.toml` that `autobatch up` and `autobatch batcher` read. Pure."""

import json

from autobatch_batcher.advising.advice import BEST_FOR_CLIENTS, Advice
from autobatch_batcher.advising.measuring.measured import Measured
from autobatch_shared.settings.definitions import BatcherSettings, servers_of, without_credentials


def config_of(measured: Measured, advice: Advice, settings: BatcherSettings) -> str:
    """Return the file: what has to be said, and as comments what the batcher finds by itself. It has no key and no password."""
    others = [without_credentials(each) for each in servers_of(settings.inference_url)[1:]]
    lines = [
        f"# {advice.verdict}",
        *(f"# But {doubt}." for doubt in advice.doubts),
        f"inference_url = {_text(','.join([measured.url, *others]))}",
        f"inference_dialect = {_text(measured.kind)}",
    ]
    if settings.upstream_model is not None:
        lines.append(f"upstream_model = {_text(settings.upstream_model)}")
    if settings.target_p99_ms is not None:
        if not advice.is_target_kept:
            lines.append("# Out of reach for any number of clients that was tried, and what cannot keep it is refused:")
        lines.append(f"{'' if advice.is_target_kept else '# '}target_p99_ms = {settings.target_p99_ms}")
    best = f"{advice.batch} texts, {advice.calls} at a time"
    lines += [
        f"max_batch_size = {max(measured.inputs_max, advice.batch)}",
        "# The batcher finds by itself how large calls should be and how many at a time.",
        f"# As measured, for {BEST_FOR_CLIENTS} clients: {best}.",
    ]
    if settings.upstream_headers:
        lines.append("# Keys are not written here: INFERENCE_API_KEY or INFERENCE_HEADERS in the environment.")
    return "\n".join([*lines, ""])


def _text(value: str) -> str:
    return json.dumps(value)  # a TOML string may be written as JSON's
