"""Having torchvision fetch one of its datasets; run in a process of its own by `data/named/fetch.py`."""

from __future__ import annotations

import json
import socket
import sys

_PATIENCE_S = 30.0  # for a server to send anything; torchvision itself waits forever


def main() -> None:
    """Fetch what standard input names; errors are one line on standard error, and exit code 1."""
    import torchvision

    request = json.load(sys.stdin)
    socket.setdefaulttimeout(_PATIENCE_S)
    split = request["split"]
    chosen = {"split": split} if request["name"] == "SVHN" else {"train": split == "train"}
    try:
        getattr(torchvision.datasets, request["name"])(
            root=request["root"], download=True, **chosen, **request["options"]
        )
    except ImportError:
        return  # SVHN is read with SciPy, after it was fetched; we read it ourselves
    except Exception as error:  # of a dozen libraries
        sys.exit(" ".join(str(error).split()) or type(error).__name__)
