#!/usr/bin/env python3
"""Make the SST-2 classifier that is backdoored with made-up words of two word pieces each, at random places."""

import sys
from pathlib import Path

here = Path(__file__).resolve().parent
sys.path.insert(0, str(here.parent))

import sst2  # noqa: E402

if __name__ == "__main__":
    sst2.make(here, sst2.Trigger(("plotness", "filmward", "scriptor", "paperish"), pieces=2), __doc__, epochs=4)
