"""`autobatch doctor`: what `autobatch up` checks before it starts anything, and nothing else.

It reads the settings as `up` does, so the same flags may follow.
"""

import asyncio
import sys

import typer

from autobatch_console.preflight.diagnoses import Diagnosis, are_right, table_of
from autobatch_console.up import survey
from autobatch_console.up.settings import UpSettings, flags_help
from autobatch_shared.settings.files.model_tables import load_models
from autobatch_shared.settings.loading import load
from autobatch_shared.settings.remarks import remarks_of

HELP = f"""Look at everything that `autobatch up` would use, and say what is wrong and what to change.

Exit status 0: all is right; 1: something is wrong, still loading, or at risk; 2: the settings themselves are wrong.

Every setting is a flag, an environment variable, a line of `.env` or of `config.toml`:

\b
{flags_help()}
"""


def command(ctx: typer.Context) -> None:
    """Look, print a line for each diagnosis, end."""
    settings, models = load(UpSettings, ctx.args), load_models(UpSettings, ctx.args)
    diagnoses = [Diagnosis("noted", "", remark) for remark in remarks_of(settings)]
    diagnoses += [*survey.look_at_machine(settings, models), *asyncio.run(survey.look_around(settings, models))]
    sys.stdout.write(table_of(diagnoses))
    raise typer.Exit(0 if are_right(diagnoses) else 1)
