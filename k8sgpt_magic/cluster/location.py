"""Where a snapshot is: a local file or directory, or a URL that fsspec can open."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from k8sgpt_magic.cluster.names import nearest
from k8sgpt_magic.errors import SnapshotError

_SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]+://")
# What fsspec does not say in a form that can be typed in.
_PACKAGES = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "abfss": "adlfs", "az": "adlfs",
    "http": "aiohttp", "https": "aiohttp", "sftp": "paramiko", "ssh": "paramiko", "smb": "smbprotocol",
}  # fmt: skip


class Location(Protocol):
    """A file or a directory. ``shown`` is how messages name it, without credentials."""

    shown: str
    name: str

    def version(self) -> str:
        """Changes when the file does; cheap enough to ask again and again."""
        ...

    def modified(self) -> datetime | None: ...

    def is_directory(self) -> bool: ...

    def open(self, name: str = "") -> IO[bytes]:
        """Open the file or, of a directory, the file ``name`` in it."""
        ...

    def walk(self) -> Iterator[str]:
        """The names of all files in and below a directory, relative to it, with ``/`` between the parts."""
        ...


def locate(path_or_url: str | os.PathLike[str]) -> Location:
    """Raises ``SnapshotError`` where there is no such file, or nothing installed that opens such URLs."""
    text = os.fspath(path_or_url)
    return _Remote(text) if _SCHEME.match(text) else _Local(text)


def matching(pattern: str) -> list[str]:
    """The URLs of files that a URL with ``*``, ``?``, ``[...]`` or ``**`` matches. Raises ``SnapshotError``."""
    filesystem, path = _filesystem(pattern, _without_credentials(pattern))
    try:
        found = filesystem.glob(path)
    except Exception as error:
        raise SnapshotError(
            f"{_without_credentials(pattern)} cannot be listed: {type(error).__name__}",
            advice="Check the credentials for it, and that they may list what is there.",
        ) from error
    return sorted(filesystem.unstrip_protocol(str(each)) for each in found)


class _Local:
    def __init__(self, path: str) -> None:
        self.shown = path
        self._path = Path(path).expanduser()
        self.name = self._path.resolve().name or str(self._path)
        if not self._path.exists():
            folder = self._path.parent
            siblings = [each.name for each in folder.iterdir()] if folder.is_dir() else []
            raise SnapshotError(f"There is no file {path}{nearest(self._path.name, siblings)}")
        if not self._path.is_file() and not self._path.is_dir():
            raise SnapshotError(f"{path} is neither a file nor a directory")

    def version(self) -> str:
        try:
            stat = self._path.stat()
        except OSError:
            return "gone"
        return f"{stat.st_mtime_ns}-{stat.st_size}-{stat.st_ino}"

    def modified(self) -> datetime | None:
        return datetime.fromtimestamp(self._path.stat().st_mtime, UTC)

    def is_directory(self) -> bool:
        return self._path.is_dir()

    def open(self, name: str = "") -> IO[bytes]:
        return (self._path / name if name else self._path).open("rb")

    def walk(self) -> Iterator[str]:
        root = self._path.resolve()
        for folder, folders, files in os.walk(root):
            # A .git next to manifests holds thousands of files, and none of them is a manifest.
            folders[:] = sorted(each for each in folders if not each.startswith("."))
            for each in sorted(files):
                path = Path(folder, each)
                # A symbolic link may lead anywhere, also to what nobody meant to hand out.
                if path.is_symlink() and not path.resolve().is_relative_to(root):
                    continue
                if path.is_file():
                    yield path.relative_to(root).as_posix()


class _Remote:
    def __init__(self, url: str) -> None:
        self.shown = _without_credentials(url)
        self.name = self.shown.rstrip("/").rpartition("/")[2] or self.shown
        self._filesystem, self._path = _filesystem(url, self.shown)
        self._info: dict[str, Any] = {}

    def version(self) -> str:
        # Asking a server each time would cost more than it saves: a URL is read once a session.
        return "remote"

    def modified(self) -> datetime | None:
        for key in ("mtime", "LastModified", "updated", "last_modified", "created"):
            value = self._about().get(key)
            if isinstance(value, datetime):
                return value if value.tzinfo else value.replace(tzinfo=UTC)
            if isinstance(value, (int, float)):
                return datetime.fromtimestamp(value, UTC)
        return None

    def is_directory(self) -> bool:
        return self._about().get("type") == "directory"

    def open(self, name: str = "") -> IO[bytes]:
        path = f"{self._path.rstrip('/')}/{name}" if name else self._path
        try:
            opened: IO[bytes] = self._filesystem.open(path, "rb")
        except Exception as error:
            raise self._failed(error) from error
        return opened

    def walk(self) -> Iterator[str]:
        prefix = self._path.rstrip("/") + "/"
        try:
            found = sorted(self._filesystem.find(self._path))
        except Exception as error:
            raise self._failed(error) from error
        yield from (path.removeprefix(prefix) for path in found)

    def _about(self) -> dict[str, Any]:
        if not self._info:
            try:
                self._info = self._filesystem.info(self._path)
            except Exception as error:
                raise self._failed(error) from error
        return self._info

    def _failed(self, error: Exception) -> SnapshotError:
        # Each protocol's package raises exceptions of its own, with no common base and sometimes the whole URL.
        if isinstance(error, FileNotFoundError):
            # fsspec also says so of servers that do not answer.
            if isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, FileNotFoundError):
                return SnapshotError(f"{self.shown} cannot be opened: its server does not answer")
            return SnapshotError(f"There is no file {self.shown}")
        reason = _without_credentials(str(error)) if "://" not in str(error) else ""
        return SnapshotError(f"{self.shown} cannot be opened: {type(error).__name__}{': ' if reason else ''}{reason}")


def _filesystem(url: str, shown: str) -> tuple[Any, str]:
    # A third of a second that who reads local files need not wait for.
    import fsspec

    protocol = url.partition("://")[0].rpartition("::")[2]
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        package = _PACKAGES.get(protocol)
        raise SnapshotError(
            f"{shown} cannot be opened: nothing is installed for {protocol}:// ",
            advice=f"Install it: pip install {package}" if package else str(error),
        ) from error
    except ValueError as error:
        raise SnapshotError(
            f"{shown} cannot be opened: {protocol}:// is not a known protocol",
            advice="Known are local paths and, among others, https://, s3://, gs:// and abfs://.",
        ) from error
    except Exception as error:
        raise SnapshotError(f"{shown} cannot be opened: {type(error).__name__}") from error
    return filesystem, str(path)


def _without_credentials(url: str) -> str:
    """The URL without a password and without its query, which signs presigned URLs."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition("?")[0].rpartition("@")[2]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
