"""Snapshots of the demo cluster, and copies of them in which something is different."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from k8sgpt_magic.session import Session

Edit = Callable[[str, dict[str, Any]], dict[str, Any] | None]


def saved(session: Session, path: Path, **options: Any) -> Path:
    session.save_snapshot(str(path), source="demo", **options)
    return path


def changed(snapshot: Path, copy: Path, edit: Edit, reads: Callable[[list[Any]], None] | None = None) -> Path:
    """A copy in which ``edit`` has had each object: it gets the plural and the object, and None removes it.

    ``reads`` may change how the reading of each kind went.
    """
    with tarfile.open(snapshot) as old, tarfile.open(copy, "w:gz") as new:
        for member in old.getmembers():
            content = json.loads(old.extractfile(member).read())
            parts = member.name.split("/")
            if len(parts) == 4:
                items = [edit(parts[2], item) for item in content["items"]]
                content["items"] = [item for item in items if item is not None]
            elif member.name == "reads.json" and reads:
                reads(content["results"])
            data = json.dumps(content).encode()
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    return copy


def without(*names: str) -> Edit:
    """Removes objects, given as ``plural/namespace/name``."""

    def edit(plural: str, item: dict[str, Any]) -> dict[str, Any] | None:
        metadata = item["metadata"]
        return None if f"{plural}/{metadata.get('namespace', '')}/{metadata['name']}" in names else item

    return edit
