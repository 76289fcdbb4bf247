"""Objects of CustomResourceDefinitions as their projects' controllers write them, broken and healthy ones.

Each file in ``tests/analyzers/custom`` is one project's. The annotation ``finds`` names the codes that an object has
to be reported with (none: it is healthy), ``because`` an object that one of these findings has to point at. Times are
written as ``T-2h``: two hours before the analysis.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "analyzers" / "custom"
PROJECTS = tuple(sorted(file.stem for file in FOLDER.glob("*.yaml")))

_TIME = re.compile(r"\bT([+-]\d+)([mhd])\b")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def manifests(project: str, now: datetime) -> list[dict[str, Any]]:
    def time(found: re.Match[str]) -> str:
        return f"'{now + timedelta(**{_UNITS[found[2]]: int(found[1])}):%Y-%m-%dT%H:%M:%SZ}'"

    text = _TIME.sub(time, (FOLDER / f"{project}.yaml").read_text())
    return [each for each in yaml.safe_load_all(text) if each]


def expected(objects: list[dict[str, Any]], *kinds: str) -> dict[tuple[str, str, str], set[str]]:
    """The codes of each object that is to have any, by kind, namespace and name."""
    found = {}
    for each in objects:
        metadata = each["metadata"]
        codes = set(metadata.get("annotations", {}).get("finds", "").split())
        if codes and (not kinds or each["kind"] in kinds):
            found[each["kind"], metadata.get("namespace", ""), metadata["name"]] = codes
    return found


def causes(objects: list[dict[str, Any]]) -> dict[tuple[str, str, str], str]:
    """What is to be named as a reason, by the object that it is a reason for."""
    return {
        (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): because
        for each in objects
        if (because := each["metadata"].get("annotations", {}).get("because"))
    }
