"""Reading the API server's audit log: who asked for what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

AuditEvent = dict[str, Any]

WRITE_VERBS = frozenset({"create", "update", "patch", "delete", "deletecollection"})


class Request(NamedTuple):
    verb: str
    uri: str


class AuditLog:
    """The log is written before a request's answer is finished, so what a client has read back is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def mark(self) -> int:
        """A position: pass it as `since` to see only what comes after it."""
        return self.path.stat().st_size

    def events(self, *, since: int = 0, user: str = "", user_agent: str = "") -> list[AuditEvent]:
        """In the order of the log; a watch appears when it starts and again when it ends."""
        return list(self._read(since, user, user_agent))

    def requests(self, *, since: int = 0, user: str = "", user_agent: str = "") -> list[Request]:
        """Each request once, watches included from their start."""
        seen: dict[str, Request] = {}
        for event in self._read(since, user, user_agent):
            seen.setdefault(event["auditID"], Request(event["verb"], event["requestURI"]))
        return list(seen.values())

    def _read(self, since: int, user: str, user_agent: str) -> Iterator[AuditEvent]:
        # Most lines are the components' own; a look at the text saves parsing them.
        wanted = f'"username":{json.dumps(user)}'.encode() if user else b""
        with self.path.open("rb") as log:
            log.seek(since)
            for line in log:
                if wanted not in line or not line.endswith(b"\n"):
                    continue
                event: AuditEvent = json.loads(line)
                if user and event["user"]["username"] != user:
                    continue
                if user_agent and user_agent not in event.get("userAgent", ""):
                    continue
                yield event
