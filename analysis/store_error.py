"""What is wrong with a store, and how a script says so."""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Callable


class StoreError(Exception):
    """A store, or a table beside it, cannot be read: a sentence with its name."""


def exit_status(work: Callable[[], None]) -> int:
    """A script's, after its work; what it cannot read or write is said in a line with the script's name."""
    try:
        work()
    except (StoreError, OSError) as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        return 1
    return 0
