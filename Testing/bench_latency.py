"""Runs `adaptseg bench latency` where torchvision needs the test environment's help to import, in child processes too.

`python Testing/bench_latency.py --json FILE`. Child processes import this file as their main module, hence the
preparation at its top level.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from Testing.torchvision_for_tests import import_torchvision

import_torchvision()

if __name__ == "__main__":
    from AdaptCore.cli import main

    sys.exit(main(["bench", "latency", *sys.argv[1:]]))
