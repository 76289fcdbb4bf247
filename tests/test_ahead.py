"""What a kernel has imported before its first analysis."""

from __future__ import annotations

import json
import subprocess
import sys

_FIRST = """
import json, sys
from k8sgpt_magic import ahead, shared_session

session = shared_session()
ahead.import_all(in_notebook=True)
from k8sgpt_magic import decoders

before, made = set(sys.modules), set(decoders._made)
assert len(session.analyze(source="demo")) > 100
new = {name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
pages = [str(each) for each in set(decoders._made) - made if "_List[" in str(each)]
print(json.dumps([sorted(new), pages]))
"""


def test_the_first_analysis_imports_no_package_and_makes_no_decoder_of_pages():
    done = subprocess.run([sys.executable, "-c", _FIRST], capture_output=True, text=True, check=True)
    packages, pages = json.loads(done.stdout)
    # Of our own what demo and snapshots need, and time zones that its objects name.
    assert set(packages) <= {"k8sgpt_magic", "tzdata"}
    assert pages == []
