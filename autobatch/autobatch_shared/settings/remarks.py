"""What is worth a warning at the start although the settings are valid: it may not be what was meant.

The environment cannot be strict, because it is full of other programs' names. What looks like a setting there is named.
"""

import difflib
import logging
import os
from collections.abc import Collection, Mapping
from pathlib import Path

from autobatch_shared.settings.definitions import BatcherSettings, CommonSettings, servers_of, without_credentials
from autobatch_shared.settings.files.env_file import ENV_FILE, read_env_file
from autobatch_shared.settings.foreign_names import COMPOSE_NAMES, refused
from autobatch_shared.settings.loading import CONFIG_FILE, advice, every_name, is_others_rust_log, said_twice

log = logging.getLogger(__name__)

NEARLY = 0.88  # `MAX_BACH_SIZE` and `REDIS_URI`, but not `HOSTNAME` nor `OPENAI_API_KEY`


def log_remarks(settings: CommonSettings) -> None:
    """Log what there is to say about the settings of this process."""
    for remark in remarks_of(settings):
        log.warning("setting_remark", extra={"remark": remark})


def remarks_of(settings: CommonSettings) -> list[str]:
    """Return what there is to say about settings that were read from this folder and this environment."""
    addresses = settings.inference_url if isinstance(settings, BatcherSettings) else ""
    names = read_env_file().names
    return [
        *_about_routes(addresses),
        *_about_folders(),
        *_about_env_file(names),
        *_about_synonyms(type(settings), names),
        *_about_environment(os.environ),
    ]


def _about_routes(inference_url: str) -> list[str]:
    urls = [url.strip() for url in inference_url.split(",") if url.strip()]
    return [
        f"INFERENCE_URL: {without_credentials(url)} is the URL of a route; its server {without_credentials(server)} is used"
        for url, server in zip(urls, servers_of(inference_url), strict=False)
        if server != url.rstrip("/")
    ]


def _about_folders() -> list[str]:
    """Docker makes one in place of a file that it is told to mount and does not find."""
    return [
        f"{file} is a folder, so no setting is read from it" for file in (ENV_FILE, CONFIG_FILE) if Path(file).is_dir()
    ]


def _about_env_file(names: Collection[str]) -> list[str]:
    composes = sorted(name.upper() for name in names if name.upper() in COMPOSE_NAMES)
    return [f"{ENV_FILE}: {', '.join(composes)}: for docker compose only, without effect here"] if composes else []


def _about_synonyms(cls: type[CommonSettings], names: Collection[str]) -> list[str]:
    return [
        f"{ENV_FILE}: {counts.upper()} counts, and {', '.join(others).upper()} does not: they are one setting"
        for counts, *others in said_twice(cls, names)
    ]


def _about_environment(variables: Mapping[str, str]) -> list[str]:
    return [
        f"{name} in the environment names no level, so it has no effect here"
        for name, value in variables.items()
        if value and is_others_rust_log(name, value)
    ] + [*misspelt(variables), *brought_along(variables)]


def misspelt(variables: Mapping[str, str]) -> list[str]:
    """Return a sentence for each variable of the environment that looks like a setting and is none."""
    known = every_name()
    return [
        f"{name} in the environment is no setting{advice(name.lower(), known, str.upper)}"
        for name in sorted(variables)
        if name.lower() not in known and _looks_like_ours(name, known)
    ]


def brought_along(variables: Mapping[str, str]) -> list[str]:
    """Return a sentence for each variable that another embedding server reads and we do not; it may be a third program's."""
    rows = [(name, refused(name)) for name in sorted(variables)]
    return [
        f"{name} in the environment is no setting; {row.instead}"
        for name, row in rows
        if row is not None and not row.is_unmistakable and not row.is_anyones
    ]


def _looks_like_ours(name: str, known: Collection[str]) -> bool:
    row = refused(name)
    if row is not None:
        return row.is_unmistakable
    return "_" in name and bool(difflib.get_close_matches(name.lower(), sorted(known), n=1, cutoff=NEARLY))
