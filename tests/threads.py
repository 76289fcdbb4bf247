"""The package's own threads that a test has started: other tests' sessions live on until they are collected."""

import threading


class OwnThreads:
    def __init__(self) -> None:
        self._before = set(threading.enumerate())

    def names(self) -> list[str]:
        return [
            each.name
            for each in threading.enumerate()
            if each not in self._before and each.name.startswith("k8sgpt-magic")
        ]
