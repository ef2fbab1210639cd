"""What all tests share: helper modules on the path, hypothesis without chance or clock."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# Under nohup, or in a script's background job, signals come ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGTERM, signal.SIG_DFL)

# What is tested is the package that is installed, by child processes too, and not the checkout
# that they are started in.
os.environ["PYTHONSAFEPATH"] = "1"

settings.register_profile(
    "deterministic", derandomize=True, deadline=None, database=None, max_examples=40
)
settings.load_profile("deterministic")
