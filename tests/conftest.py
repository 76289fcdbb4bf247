"""Fixtures that every test may use. Nothing is ever skipped: what a test needs and lacks is a failure."""

from tests.controlplane.fixtures import control_plane, namespace  # noqa: F401
