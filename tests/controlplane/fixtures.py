"""The pytest fixtures; the top-level conftest imports them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from .controlplane import ControlPlane


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """One control plane with three ready nodes for the whole session.

    It never skips: a plane that cannot be built or started is an error of the tests that need it.
    """
    with ControlPlane() as plane:
        plane.add_nodes(3)
        yield plane
        # Whatever the tests have done, nothing that was tested may have written.
        assert plane.writes(user_agent="k8sgpt-magic/") == []


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A namespace of the test's own, emptied afterwards so that no other test sees what was in it."""
    name = control_plane.api.namespace(f"test-{uuid.uuid4().hex[:8]}")
    yield name
    control_plane.api.delete_namespace(name, wait=False)
