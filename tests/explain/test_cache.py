"""Caches: in memory, in a directory that kernels share, and in a store that fsspec opens."""

import asyncio
import multiprocessing
import stat
import threading
import uuid
import warnings
from pathlib import Path

import fsspec
import pytest

from k8sgpt_magic.errors import InvalidOption
from k8sgpt_magic.explain.backends import Answer
from k8sgpt_magic.explain.cache import CacheError, Caches, FileCache, MemoryCache, location

KEY = "ab12" * 16
ANSWER = Answer("Error: __POD_1__ ends.", 42, "tiny")


def test_an_answer_comes_back_also_for_the_next_session(tmp_path):
    FileCache(str(tmp_path)).put(KEY, ANSWER)
    assert FileCache(str(tmp_path)).get(KEY) == ANSWER
    assert FileCache(f"file://{tmp_path}").get(KEY) == ANSWER
    assert FileCache(str(tmp_path)).get("0" * 64) is None
    assert stat.S_IMODE((tmp_path / f"{KEY}.json").stat().st_mode) == 0o600


def test_a_remote_store_is_used_the_same_way():
    url = f"memory://explanations-{uuid.uuid4().hex}"
    store = FileCache(url)
    assert store.keys() == []
    store.put(KEY, ANSWER)
    assert FileCache(url).get(KEY) == ANSWER
    assert FileCache(url).fetch([KEY, "0" * 64]) == {KEY: ANSWER}
    assert store.keys() == [KEY]
    assert store.size() > 40
    assert store.clear() == 1
    assert store.get(KEY) is None


@pytest.mark.parametrize("damage", [b"", b"{", b"null", b'{"format": 1}', b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_entry_is_dropped_with_one_warning(tmp_path, damage):
    store = FileCache(str(tmp_path))
    store.put(KEY, ANSWER)
    file = tmp_path / f"{KEY}.json"
    file.write_bytes(damage)
    with pytest.warns(UserWarning, match=f"entry {KEY[:12]} was damaged") as warned:
        assert store.get(KEY) is None
    assert len(warned) == 1
    assert not file.exists()
    store.put(KEY, ANSWER)
    assert store.get(KEY) == ANSWER


def test_an_entry_under_another_name_does_not_answer_for_it(tmp_path):
    store = FileCache(str(tmp_path))
    store.put(KEY, ANSWER)
    (tmp_path / f"{KEY}.json").rename(tmp_path / f"{'0' * 64}.json")
    with pytest.warns(UserWarning, match="damaged"):
        assert store.get("0" * 64) is None


def test_only_our_own_files_are_removed(tmp_path):
    store = FileCache(str(tmp_path))
    store.put(KEY, ANSWER)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "my-notes.json").write_text("mine")
    assert store.clear() == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == ["my-notes.json", "notes.txt"]
    with pytest.raises(ValueError, match="letters and digits"):
        store.get("../escape")


def _write(directory: str, number: int) -> int:
    store = FileCache(directory)
    seen = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for at in range(60):
            store.put(KEY, Answer(f"{number} " * 5000, number))
            seen += store.get(KEY) is not None
            store.put(f"{number}x{at}", ANSWER)
    return seen


def test_two_kernels_share_a_directory_without_damage(tmp_path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        seen = pool.starmap(_write, [(str(tmp_path), 1), (str(tmp_path), 2)])
    assert seen == [60, 60]
    assert len(list(tmp_path.iterdir())) == 121
    threads = [threading.Thread(target=_write, args=(str(tmp_path), number)) for number in (1, 2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert FileCache(str(tmp_path)).get(KEY)


def test_a_store_that_fails_costs_a_warning_and_no_answer(tmp_path, monkeypatch):
    directory = tmp_path / "cache"
    caches = Caches()
    caches.add(str(directory))
    directory.rmdir()
    directory.write_text("in the way")
    with pytest.warns(UserWarning, match="for this session only"):
        caches.put(KEY, ANSWER)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        caches.put("0" * 64, ANSWER)
    assert caches.get(KEY) == ANSWER


def test_memory_is_looked_up_first_and_learns(tmp_path):
    caches = Caches()
    caches.add(str(tmp_path))
    assert caches.get(KEY) is None
    caches.put(KEY, ANSWER)
    later = Caches([FileCache(str(tmp_path))])
    assert later.get(KEY) == ANSWER
    (tmp_path / f"{KEY}.json").unlink()
    assert later.get(KEY) == ANSWER
    memory, disk = later.stats().values()
    assert (memory.hits, memory.misses, memory.entries) == (1, 1, 1)
    assert (disk.hits, disk.misses, disk.entries) == (1, 0, 0)
    assert memory.bytes == len(ANSWER.text)


def test_places_are_added_once_removed_by_name_and_cleared(tmp_path):
    caches = Caches()
    assert caches.add(str(tmp_path)).url == caches.add(f"file://{tmp_path}").url
    assert caches.urls == ["memory", str(tmp_path)]
    caches.put(KEY, ANSWER)
    assert caches.clear("memory") == 1
    assert caches.get(KEY) == ANSWER
    assert caches.clear() == 2
    with pytest.raises(InvalidOption, match="no cache"):
        caches.remove("/elsewhere")
    caches.remove(str(tmp_path))
    assert caches.urls == ["memory"]
    assert tmp_path.exists()


@pytest.mark.parametrize(("url", "package"), [("s3://b/x", "s3fs"), ("gs://b/x", "gcsfs"), ("az://b/x", "adlfs")])
def test_a_package_that_is_missing_is_named(monkeypatch, url, package):
    def missing(*_, **__):
        raise ImportError(package)

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(CacheError, match=f"pip install {package}"):
        FileCache(url)


def test_places_that_cannot_be(tmp_path):
    with pytest.raises(InvalidOption, match="nonsense"):
        FileCache("nonsense://x")
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="may write"):
        FileCache(str(tmp_path / "file" / "below"))
    assert location("s3://user:secret@bucket/x?key=secret") == "s3://bucket/x"
    assert location("~/x") == str(Path("~/x").expanduser())


def test_a_bucket_is_asked_for_many_at_a_time(monkeypatch):
    url = f"memory://many-{uuid.uuid4().hex}"
    store = FileCache(url)
    for at in range(20):
        store.put(f"{at:064x}", ANSWER)
    caches = Caches([FileCache(url)])
    calls = []
    files = fsspec.filesystem("memory")
    original = type(files).cat
    monkeypatch.setattr(type(files), "cat", lambda self, *a, **k: calls.append(1) or original(self, *a, **k))
    caches.fetch([f"{at:064x}" for at in range(30)])
    assert len(calls) == 1
    assert caches.get(f"{3:064x}") == ANSWER
    assert caches.stats()[url].hits == 20


def test_a_cache_is_usable_from_a_running_loop(tmp_path):
    async def both():
        store, remote = FileCache(str(tmp_path)), FileCache(f"memory://loop-{uuid.uuid4().hex}")
        for each in (store, remote, MemoryCache()):
            each.put(KEY, ANSWER)
            assert each.get(KEY) == ANSWER

    asyncio.run(both())
