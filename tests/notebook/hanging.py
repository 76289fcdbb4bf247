"""An API server that hangs."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from typing import Any


class HangingServer(os.PathLike[str]):
    """An API server that takes connections and never answers; as a path, the kubeconfig that names it."""

    def __init__(self, directory: Path) -> None:
        self.asked = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._connections: list[Any] = []
        self._kubeconfig = directory / "kubeconfig"
        port = self._socket.getsockname()[1]
        self._kubeconfig.write_text(
            f"{{apiVersion: v1, kind: Config, current-context: c, "
            f"clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}], "
            f"contexts: [{{name: c, context: {{cluster: c, user: u}}}}], users: [{{name: u, user: {{}}}}]}}"
        )
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._connections.append(connection)
            self.asked.set()

    def close(self) -> None:
        self._socket.close()
        for connection in self._connections:
            connection.close()

    def __fspath__(self) -> str:
        return str(self._kubeconfig)

    __str__ = __fspath__
