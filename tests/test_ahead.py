"""What a kernel has imported before its first analysis."""

from __future__ import annotations

import sys
from pathlib import Path

from k8sgpt_magic.session import Session
from tests.benchmarks.measure import in_fresh_process
from tests.snapshots import saved


def first_analysis(source: str) -> dict[str, list[str]]:
    """The packages that it imports all the same, and the lists for which it makes a decoder."""
    from k8sgpt_magic import ahead, decoders, shared_session

    session = shared_session()
    ahead.import_all(in_notebook=True)
    imported, made = set(sys.modules), set(decoders._made)
    assert len(session.analyze(source=source)) > 100
    new = {name.partition(".")[0] for name in set(sys.modules) - imported} - set(sys.stdlib_module_names)
    return {
        "packages": sorted(new),
        "lists": [str(each) for each in set(decoders._made) - made if "_List[" in str(each)],
    }


def test_the_first_analysis_imports_no_package_and_makes_no_decoder_of_pages(tmp_path: Path):
    session = Session()
    try:
        archive = saved(session, tmp_path / "demo.tar.gz")
    finally:
        session.close()
    # An archive is read in pages, as a server is; the demo itself is not.
    for source in ("demo", str(archive)):
        first = in_fresh_process(first_analysis, source)
        # Of our own what demo and snapshots need, and time zones that its objects name.
        assert set(first["packages"]) <= {"k8sgpt_magic", "tzdata"}
        assert first["lists"] == []
