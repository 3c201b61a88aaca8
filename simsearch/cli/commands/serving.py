"""Serve the page and the API."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from simsearch.cli.options import WHERE, IndexDirOption, ThreadsOption, limit_threads
from simsearch.errors import BadInputError, require
from simsearch.index.locations import DEFAULT_INDEX_DIR, all_indexes, find_index

_WHO = "Who is answered"
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_OWN_PATHS = ("api", "static", "healthz", "readyz", "metrics", "openapi.json")


def named_folders(folders: Sequence[Path]) -> dict[str, Path]:
    """The indexes' folders by their names.

    :raises BadInputError: If two have the same name.
    """
    named = {folder.resolve().name: folder for folder in folders}
    if len(named) < len(folders):
        raise BadInputError("two of the indexes have the same name", hint="give each of them once")
    return named


def _check_access(host: str, token: str | None, *, open_to_all: bool) -> None:
    """Refuse to serve strangers by accident, and a token that no request could carry."""
    if not (open_to_all or token):
        raise BadInputError(
            f"whoever reaches {host} could use this server",
            hint="set a token with SIMSEARCH_TOKEN or --token, or allow it with --insecure",
        )
    if token == "" or (token is not None and not token.isascii()):
        raise BadInputError("a token must be plain ASCII text", hint="make one: openssl rand -hex 16")


def check_root_path(path: str) -> None:
    """Refuse what cannot be the path of an address, or is one of the server's own.

    :raises BadInputError: If it is such a path.
    """
    if path and (not _PATH.fullmatch(path) or path.split("/")[1] in _OWN_PATHS):
        raise BadInputError(f"{path!r} cannot be the server's path", hint="give one such as /digits")


@dataclass(frozen=True)
class Access:
    """Whom the server answers, and under which path."""

    token: Annotated[
        str | None,
        typer.Option(
            help="Answer only requests that carry this token; the variable hides it from other users.",
            envvar="SIMSEARCH_TOKEN",
            rich_help_panel=_WHO,
        ),
    ] = None
    insecure: Annotated[
        bool,
        typer.Option("--insecure", help="Listen beyond this machine without a token.", rich_help_panel=_WHO),
    ] = False
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="A further name to answer to, such as that of a proxy; repeatable.", rich_help_panel=_WHO
        ),
    ] = None
    root_path: Annotated[
        str, typer.Option(help="Path below which a proxy offers the server, such as /digits.")
    ] = ""


def serve(
    *,
    index: Annotated[
        list[str] | None,
        typer.Option(
            "--index",
            "-i",
            help="Name or folder of an index, repeatable, the default first; all in --index-dir by default.",
            rich_help_panel=WHERE,
        ),
    ] = None,
    index_dir: IndexDirOption = DEFAULT_INDEX_DIR,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 chooses a free one.")] = 8000,
    access: Access,
    evaluation: Annotated[
        list[Path] | None,
        typer.Option(
            help="A stored evaluation (`evaluate --json`), whose mistakes the page shows; repeatable. "
            "Those of small indexes are found without."
        ),
    ] = None,
    threads: ThreadsOption = 0,
) -> None:
    """Serve a page to draw on, and an HTTP API, until it is stopped with Ctrl-C.

    Example: simsearch serve --port 8080
    """
    require("fastapi", "web")
    require("uvicorn", "web")
    import os

    from simsearch.show.terminal import terminal
    from simsearch.web.settings import LOOPBACK_HOSTS, Settings, is_loopback

    _check_access(host, access.token, open_to_all=is_loopback(host) or access.insecure)
    check_root_path(access.root_path)
    chosen = [find_index(name, index_dir) for name in index] if index else all_indexes(index_dir)
    folders = named_folders(chosen)
    settings = Settings(
        hosts=LOOPBACK_HOSTS | {name.lower() for name in (host, *(access.allow_host or ()))},
        any_address=not is_loopback(host),
        token=access.token,
        root_path=access.root_path,
        evaluations=tuple(evaluation or ()),
        warm=True,
        workers=threads or os.cpu_count() or 1,
    )
    from simsearch.web.server import serve as run  # loads FastAPI, FAISS and onnxruntime

    limit_threads(1)  # a request computes in one thread; several requests share the cores

    def say(url: str) -> None:
        terminal.note(
            f"serving {', '.join(folders)} at {url}{'#token=...' if access.token else ''}  (Ctrl-C stops)"
        )

    run(folders, settings, address=host, port=port, on_start=say)
