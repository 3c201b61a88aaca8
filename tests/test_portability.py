"""Calls that only some systems have, or that mean different things there, stand behind a branch.

Only Linux is tested here; this reads the source for the names that break elsewhere.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGE = ROOT / "simsearch"
POSIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
# Missing on Windows, or without effect there.
POSIX_CALLS = {
    "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "SIGALRM", "SIGHUP", "SIGKILL", "SIGPIPE",
    "SIGUSR1", "alarm", "chmod", "chown", "fchmod", "fork", "forkpty", "getuid", "geteuid", "killpg",
    "mkfifo", "register_at_fork", "sched_getaffinity", "setuid", "symlink", "symlink_to", "sysconf", "umask",
    "uname",
}  # fmt: skip
# Imported inside a `try` that goes on without them.
TRIED = {
    ("data/label_tables.py", "resource"),
    ("show/terminal/terminal.py", "fcntl"),
    ("show/terminal/terminal.py", "termios"),
    ("web/server.py", "resource"),
}
# Used, each behind a branch in the same file that the text shows.
BRANCHES = {
    ("data/decoding.py", "sched_getaffinity"): 'hasattr(os, "sched_getaffinity")',
    ("index/stores/faiss.py", "register_at_fork"): 'hasattr(os, "register_at_fork")',
    (
        "search/hit_files.py",
        "symlink_to",
    ): "except OSError as error",  # Windows may refuse: said, as any refusal
    ("web/isolation.py", "SIGHUP"): 'hasattr(signal, "pthread_sigmask")',
}
SOURCES = sorted(PACKAGE.rglob("*.py"))


def nodes(kind: type[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, kind):
                yield path.relative_to(PACKAGE).as_posix(), node


def imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    return {str(node.module)} if isinstance(node, ast.ImportFrom) else set()


def test_modules_of_one_system_are_imported_where_their_absence_is_caught() -> None:
    found = {
        (file, name)
        for kind in (ast.Import, ast.ImportFrom)
        for file, node in nodes(kind)
        for name in imported(node)
        if name.split(".")[0] in POSIX_MODULES
    }
    tried = {
        (file, name)
        for file, node in nodes(ast.Try)
        if isinstance(node, ast.Try)
        and any("ImportError" in ast.unparse(handler.type or node) for handler in node.handlers)
        for inner in node.body
        for name in imported(inner)
    }
    assert found == TRIED
    assert tried >= TRIED


def test_calls_of_one_system_stand_behind_a_branch() -> None:
    used = {(file, node.attr) for file, node in nodes(ast.Attribute) if node.attr in POSIX_CALLS}
    assert used == set(BRANCHES)
    for (file, _), branch in BRANCHES.items():
        assert branch in (PACKAGE / file).read_text("utf-8")


def test_a_folder_is_opened_and_flushed_only_where_that_is_possible() -> None:
    opened = {file for file, node in nodes(ast.Attribute) if ast.unparse(node) == "os.open"}
    assert opened <= {"cli/signals.py", "files.py", "prepare/decode.py"}
    sync = (PACKAGE / "files.py").read_text("utf-8").split("def sync_folder")[1]
    assert sync.index('os.name == "nt"') < sync.index("os.open")


def test_files_are_renamed_only_by_the_function_that_retries() -> None:
    renames = {
        (file, ast.unparse(node))
        for file, node in nodes(ast.Call)
        if isinstance(node.func, ast.Attribute)
        and (
            (node.func.attr in ("replace", "rename") and len(node.args) == 1 and not node.keywords)
            or ast.unparse(node.func) in ("os.replace", "os.rename", "shutil.move")
        )
    }
    assert {(file, text) for file, text in renames if "replace(" in text and "**" not in text} == {
        ("files.py", "source.replace(target)")
    }


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_text_files_name_their_encoding(path: Path) -> None:
    """Windows would take its own, and write its own line ends."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        keywords = {keyword.arg for keyword in node.keywords}
        if name == "read_text":
            assert node.args or "encoding" in keywords, ast.unparse(node)
        binary = name == "fdopen" and any(
            "b" in str(arg.value) for arg in node.args[1:] if isinstance(arg, ast.Constant)
        )
        assert name not in ("write_text", "fdopen") or binary, ast.unparse(node)
        if name == "open" and ast.unparse(node.func) not in ("os.open", "Image.open", "tarfile.open"):
            modes = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            if modes and isinstance(modes[0], str):
                assert "b" in modes[0] or "encoding" in keywords, ast.unparse(node)


def test_sources_of_items_are_written_with_slashes() -> None:
    text = (PACKAGE / "data" / "collection.py").read_text("utf-8")
    assert 'f"{below}{name}/"' in text  # what a path is made of
    assert "os.sep" not in text
