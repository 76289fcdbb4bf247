"""`python -m tests.controlplane`: a control plane to play with, until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys

from .build import BuildError
from .controlplane import ControlPlane
from .process import StartError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.controlplane", description=__doc__)
    parser.add_argument("--nodes", type=int, default=3, help="ready nodes to add (default: %(default)s)")
    arguments = parser.parse_args()
    # A plain kill should tear down too, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ControlPlane() as plane:
            plane.add_nodes(arguments.nodes)
            for user in ("admin", "cert-admin", "reader", "viewer", "nobody"):
                print(f"{user:10}  {plane.kubeconfig(user)}")
            print(f"logs        {plane.directory / 'logs'}")
            print("Ctrl-C stops it and removes all of this.", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        return 0
    except (BuildError, StartError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
