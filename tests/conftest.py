"""Fixtures that every test may use. Nothing is ever skipped: what a test needs and lacks is a failure."""

import signal

from hypothesis import settings

from tests.controlplane.fixtures import control_plane, namespace  # noqa: F401

# How long an example takes is a matter for benchmarks: machines are shared.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# A shell lets what it starts in the background ignore interrupts, and tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
