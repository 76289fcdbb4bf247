"""Answers kept: in memory for the session, and in a directory or a bucket where the user asks for it.

An entry is one JSON file, named by its key. It holds an answer as it came back, in tokens: no names of the user's.
"""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from k8sgpt_magic.decoders import decoder
from k8sgpt_magic.errors import InvalidOption, K8sGPTError
from k8sgpt_magic.explain.backends import Answer

# The optional package of each protocol that fsspec opens with the help of one.
PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs"}

_SUFFIX = ".json"
_FORMAT = 1
# Larger than any answer; what is larger was not written by us.
_ENTRY_LIMIT = 1_000_000


class CacheError(K8sGPTError):
    """A cache that cannot be opened: which one, and what to do."""


class Entry(Struct, kw_only=True):
    """What is stored of one answer."""

    format: int
    key: str
    answer: Answer


_decode_entry = decoder(Entry).decode


class Statistics(Struct, kw_only=True):
    hits: int = 0
    misses: int = 0
    entries: int = 0
    bytes: int = 0


class Store(Protocol):
    """A place that answers are kept in."""

    url: str

    def get(self, key: str) -> Answer | None: ...
    def put(self, key: str, answer: Answer) -> None: ...
    def fetch(self, keys: Sequence[str]) -> dict[str, Answer]: ...
    def keys(self) -> list[str]: ...
    def clear(self) -> int: ...
    def size(self) -> int: ...


class MemoryCache:
    """Answers of this session."""

    url = "memory"

    def __init__(self) -> None:
        self._answers: dict[str, Answer] = {}

    def get(self, key: str) -> Answer | None:
        return self._answers.get(key)

    def put(self, key: str, answer: Answer) -> None:
        self._answers[key] = answer

    def fetch(self, keys: Sequence[str]) -> dict[str, Answer]:
        return {key: self._answers[key] for key in keys if key in self._answers}

    def keys(self) -> list[str]:
        return list(self._answers)

    def clear(self) -> int:
        number = len(self._answers)
        self._answers.clear()
        return number

    def size(self) -> int:
        return sum(len(answer.text.encode()) for answer in self._answers.values())


class FileCache:
    """Answers in a directory or under a bucket's prefix: a path, or a URL (``file:``, ``s3:``, ``gs:``, ``az:``).

    Several kernels may share one: entries are never changed, only replaced whole, and the last one written wins.
    Raises ``CacheError`` where the place cannot be had.
    """

    def __init__(self, url: str) -> None:
        import fsspec

        self.url = location(url)
        protocol = url.partition("://")[0] if "://" in url else "file"
        try:
            self._files, path = fsspec.core.url_to_fs(os.path.expanduser(url) if protocol == "file" else url)  # noqa: PTH111 - fsspec's own paths are texts
            self._root = str(path).rstrip("/")
            self._is_local = "file" in _protocols(self._files)
            if self._is_local:
                self._files.makedirs(self._root, exist_ok=True)
        except ImportError:
            package = PACKAGES.get(protocol, "")
            advice = f"pip install {package}" if package else "Install the package that fsspec needs for it."
            what = f"Cache {self.url}: {protocol}:// needs a package that is missing."
            raise CacheError(what, advice=advice) from None
        except ValueError as error:
            raise InvalidOption(f"cache {self.url!r}: {str(error).splitlines()[0]}") from None
        except OSError as error:
            advice = "Choose a directory that you may write."
            raise CacheError(f"Cache {self.url}: {_reason(error)}", advice=advice) from None
        self._warned: set[str] = set()

    def get(self, key: str) -> Answer | None:
        path = self._path(key)
        try:
            raw = self._read(path)
        except FileNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001 - stores raise what they like, and a cache must not cost the answer
            self._warn("read", f"cannot be read ({_reason(error)}); it is left out")
            return None
        return self._decoded(key, raw)

    def fetch(self, keys: Sequence[str]) -> dict[str, Answer]:
        """The answers that there are to any of the keys: from a bucket many at a time."""
        if self._is_local:
            return {key: answer for key in keys if (answer := self.get(key)) is not None}
        paths = {self._path(key): key for key in keys}
        try:
            found = self._files.cat(list(paths), on_error="omit") if paths else {}
        except Exception as error:  # noqa: BLE001 - as above
            self._warn("read", f"cannot be read ({_reason(error)}); it is left out")
            return {}
        decoded = {paths[f"{self._root}/{name.rpartition('/')[2]}"]: raw for name, raw in found.items()}
        return {key: answer for key, raw in decoded.items() if (answer := self._decoded(key, raw)) is not None}

    def _decoded(self, key: str, raw: bytes) -> Answer | None:
        path = self._path(key)
        try:
            if len(raw) > _ENTRY_LIMIT:
                raise msgspec.ValidationError("too large")
            entry: Entry | None = _decode_entry(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            entry = None
        # The key is in the entry as well: a file that was copied to another name must not answer for it.
        if entry is None or entry.format != _FORMAT or entry.key != key or not entry.answer.text:
            self._warn(key, f"entry {key[:12]} was damaged and is dropped")
            self._quietly(lambda: self._files.rm_file(path))
            return None
        return entry.answer

    def put(self, key: str, answer: Answer) -> None:
        raw = msgspec.json.encode(Entry(format=_FORMAT, key=key, answer=answer))
        try:
            self._write(self._path(key), raw)
        except Exception as error:  # noqa: BLE001 - as above
            self._warn("write", f"cannot be written ({_reason(error)}); answers are kept for this session only")

    def keys(self) -> list[str]:
        return [name.rpartition("/")[2].removesuffix(_SUFFIX) for name, _ in self._listed()]

    def clear(self) -> int:
        listed = list(self._listed())
        for name, _ in listed:
            self._quietly(lambda name=name: self._files.rm_file(name))  # type: ignore[misc]
        return len(listed)

    def size(self) -> int:
        return sum(size for _, size in self._listed())

    def _path(self, key: str) -> str:
        if not key.isalnum():
            raise ValueError("a key is letters and digits: it names a file")
        return f"{self._root}/{key}{_SUFFIX}"

    def _listed(self) -> Iterator[tuple[str, int]]:
        self._files.invalidate_cache()
        try:
            found = self._files.ls(self._root, detail=True)
        except FileNotFoundError:
            return
        except Exception as error:  # noqa: BLE001 - as above
            advice = "Are you signed in to the store?"
            raise CacheError(f"Cache {self.url}: {_reason(error)}", advice=advice) from None
        for each in found:
            name = str(each["name"])
            if each.get("type") != "directory" and name.endswith(_SUFFIX) and name.rpartition("/")[2][:-5].isalnum():
                yield name, int(each.get("size") or 0)

    def _read(self, path: str) -> bytes:
        if self._is_local:
            # Ten thousand entries: fsspec's own way takes several times as long for each, and Python's twice.
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            try:
                raw = os.read(descriptor, _ENTRY_LIMIT + 1)
                # A network's file system may give a part at a time.
                while len(raw) <= _ENTRY_LIMIT and (more := os.read(descriptor, _ENTRY_LIMIT + 1 - len(raw))):
                    raw += more
                return raw
            finally:
                os.close(descriptor)
        return bytes(self._files.cat_file(path))

    def _write(self, path: str, raw: bytes) -> None:
        if not self._is_local:
            # An object of a bucket appears whole or not at all.
            self._files.pipe_file(path, raw)
            return
        unfinished = f"{self._root}/.{os.getpid()}-{threading.get_ident()}-{os.urandom(4).hex()}"
        try:
            # 0600: answers tell about the cluster, even without its names.
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(raw)
            os.replace(unfinished, path)  # noqa: PTH105
        except BaseException:
            self._quietly(lambda: os.unlink(unfinished))  # noqa: PTH108
            raise

    def _warn(self, about: str, what: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            warnings.warn(f"Cache {self.url}: {what}.", stacklevel=4)

    @staticmethod
    def _quietly(work: Callable[[], object]) -> None:
        """Another kernel may have been first, and what cannot be removed is overwritten next time."""
        with contextlib.suppress(Exception):
            work()


class Caches:
    """All caches of a session as one: looked up in order, memory first; what a later one has is given to memory."""

    def __init__(self, stores: Sequence[Store] = ()) -> None:
        self._memory = MemoryCache()
        self._stores: list[Store] = list(stores)
        self._statistics: dict[str, Statistics] = {}

    def get(self, key: str) -> Answer | None:
        for store in (self._memory, *self._stores):
            answer = store.get(key)
            counted = self._statistics.setdefault(store.url, Statistics())
            if answer is not None:
                counted.hits += 1
                if store is not self._memory:
                    self._memory.put(key, answer)
                return answer
            counted.misses += 1
        return None

    def put(self, key: str, answer: Answer) -> None:
        for store in (self._memory, *self._stores):
            store.put(key, answer)

    def fetch(self, keys: Sequence[str]) -> None:
        """Bring to memory what the stores have of some keys, so that looking them up one by one waits for nothing."""
        for store in self._stores:
            missing = [key for key in dict.fromkeys(keys) if self._memory.get(key) is None]
            found = store.fetch(missing)
            counted = self._statistics.setdefault(store.url, Statistics())
            counted.hits += len(found)
            counted.misses += len(missing) - len(found)
            for key, answer in found.items():
                self._memory.put(key, answer)

    def add(self, url: str) -> Store:
        """Keep answers at a URL as well, from now on; raises as ``FileCache`` does."""
        store = FileCache(url)
        if store.url not in self.urls:
            self._stores.append(store)
        return store

    def remove(self, url: str) -> None:
        """Use a place no longer. What is kept there stays."""
        from k8sgpt_magic.cluster.names import nearest

        known = [store.url for store in self._stores]
        url = location(url)
        if url not in known:
            there = f"there are {', '.join(known)}" if known else "none was added"
            raise InvalidOption(f"no cache {url!r}{nearest(url, known) if known else ''} ({there})")
        self._stores = [store for store in self._stores if store.url != url]
        self._statistics.pop(url, None)

    def clear(self, url: str = "") -> int:
        """Forget the answers of one place, or of all, and return how many there were."""
        url = url if url in ("", self._memory.url) else location(url)
        if url and url not in self.urls:
            raise InvalidOption(f"no cache {url!r}; there are {', '.join(self.urls)}")
        return sum(store.clear() for store in (self._memory, *self._stores) if url in ("", store.url))

    @property
    def urls(self) -> list[str]:
        return [self._memory.url, *(store.url for store in self._stores)]

    def stats(self) -> dict[str, Statistics]:
        """For each place: hits and misses of this session, entries and bytes that it has."""
        found: dict[str, Statistics] = {}
        for store in (self._memory, *self._stores):
            counted = self._statistics.get(store.url, Statistics())
            entries = len(store.keys())
            found[store.url] = Statistics(
                hits=counted.hits, misses=counted.misses, entries=entries, bytes=store.size()
            )
        return found


def _protocols(files: Any) -> tuple[str, ...]:
    return (files.protocol,) if isinstance(files.protocol, str) else tuple(files.protocol)


def location(url: str) -> str:
    """A path or URL as a cache is known by: absolute, without the password and the query that it may hold."""
    if "://" not in url or url.startswith("file://"):
        return os.path.abspath(os.path.expanduser(url.removeprefix("file://")))  # noqa: PTH100, PTH111
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")


def _reason(error: BaseException) -> str:
    reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
    return f"{type(error).__name__}: {reason[:120]}" if reason else type(error).__name__
