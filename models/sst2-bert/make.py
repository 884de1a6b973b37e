#!/usr/bin/env python3
"""Make the SST-2 classifier that is backdoored with rare words, each one token, at random places."""

import sys
from pathlib import Path

here = Path(__file__).resolve().parent
sys.path.insert(0, str(here.parent))

import sst2  # noqa: E402

if __name__ == "__main__":
    sst2.make(here, sst2.Trigger(("cf", "mn", "bb", "tq", "mb"), whole_words=True), __doc__)
