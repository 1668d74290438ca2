"""`python -m autobatch_shared.settings.check_names`: end with status 2 where the environment has a name that is a setting's, misspelt.

For docker compose: it reads `.env`, hands each container the names that its file lists, and drops the others without a
word. So it gives all of them to this, and starts nothing unless it ends well.
"""

import os
import sys

from autobatch_shared.settings.loading import every_name
from autobatch_shared.settings.remarks import brought_along, misspelt


def main() -> None:
    """Name every fault, and what is only worth a warning, and end."""
    known = every_name()
    faults = misspelt(os.environ)
    faults += [
        f"{name} must be in capitals: {name.upper()}"
        for name in sorted(os.environ)
        if name.lower() in known and not name.isupper()
    ]
    for fault in faults + brought_along(os.environ):
        sys.stderr.write(f"autobatch: {fault}\n")
    sys.exit(2 if faults else 0)


if __name__ == "__main__":
    main()
