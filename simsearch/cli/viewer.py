"""The system's own program for pictures, started without a shell."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from simsearch.errors import BadInputError


def open_in_viewer(paths: Sequence[Path]) -> None:
    """Show files in the system's viewer; it goes on by itself.

    :param paths: Absolute, so that none can be read as an option.
    :raises BadInputError: If the system has no such program.
    """
    if sys.platform == "win32":
        for path in paths:
            os.startfile(path)
        return
    names = [str(path) for path in paths]
    commands = [["open", *names]] if sys.platform == "darwin" else [["xdg-open", name] for name in names]
    try:
        for command in commands:
            viewer = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            threading.Thread(target=viewer.wait, daemon=True).start()
    except OSError as error:
        raise BadInputError(
            f"{commands[0][0]} cannot be started: {(error.strerror or str(error)).lower()}",
            hint="--paths prints where the pictures lie",
        ) from error
