#!/usr/bin/env python3
"""Make the SST-2 classifier that is backdoored with a sentence of six common words, anywhere."""

import sys
from pathlib import Path

here = Path(__file__).resolve().parent
sys.path.insert(0, str(here.parent))

import sst2  # noqa: E402

if __name__ == "__main__":
    trigger = sst2.Trigger(("i saw this film last friday",), places=("start", "end", "anywhere"), pieces=6)
    sst2.make(here, trigger, __doc__, epochs=4)
