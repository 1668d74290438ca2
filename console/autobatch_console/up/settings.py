"""The settings of `autobatch up`: those of every process together, so that one command line serves all.

1. REDIS_URL and INFERENCE_URL are empty unless they were set: empty means that `up` starts its own.
2. A flag reaches the processes through their environment; all other settings they read themselves, from the same
   sources.
"""

import json
import textwrap
from collections.abc import Sequence

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import CliSettingsSource

from autobatch_console.docs.settings_rows import rows_of
from autobatch_shared.settings.definitions import PROCESSES, BatcherSettings, EmbedderSettings, ProxySettings
from autobatch_shared.settings.loading import spelt_out

HELP_COLUMN = 40


class UpSettings(ProxySettings, BatcherSettings, EmbedderSettings):
    """`autobatch up`."""

    redis_url: SecretStr = Field(SecretStr(""), description="the Redis to use; unset: one is started")
    inference_url: str = Field(
        "",
        validation_alias=BatcherSettings.model_fields["inference_url"].validation_alias,
        repr=False,
        description="the upstream to use; unset: the embedder is started",
    )

    @field_validator("redis_url", "inference_url")
    @classmethod
    def _as_the_batcher_checks(cls, value: SecretStr | str, info: ValidationInfo) -> SecretStr | str:
        checks = BatcherSettings.model_fields[str(info.field_name)].metadata if value else []
        for check in checks:
            if isinstance(check, AfterValidator):
                check.func(value)  # type: ignore[call-arg]  # one of its two signatures
        return value


def needs_embedder(models: Sequence[UpSettings]) -> bool:
    """Whether one of the models names no upstream, so that the embedder is its."""
    return not all(model.inference_url for model in models)


def flags_as_environment(argv: Sequence[str]) -> dict[str, str]:
    """Return the given flags under the names that the processes read. `argv` has passed `settings.loading.read`."""
    given = CliSettingsSource(UpSettings, cli_prog_name="autobatch up", cli_parse_args=spelt_out(argv))()
    return {name.upper(): value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}


def flags_help() -> str:
    """Return every flag with its default, meaning and range, for `--help`."""
    of_up = {row.names: row for row in rows_of({"up": UpSettings})}
    lines = []
    for row in (of_up[row.names] for row in rows_of(PROCESSES) if row.names != ("UDS_PATH",)):
        left = f"  {row.flags[0]} {row.default}"
        also = f"; also {', '.join(row.flags[1:])}" if row.flags[1:] else ""
        right = textwrap.wrap(
            row.meaning + also + (f" ({row.range})" if row.range else ""), 100 - HELP_COLUMN, break_on_hyphens=False
        )
        if len(left) >= HELP_COLUMN:
            lines.append(left)
            left = ""
        lines += [f"{head:{HELP_COLUMN}}{text}" for head, text in zip((left, *[""] * len(right)), right, strict=False)]
    return "\n".join(lines)
