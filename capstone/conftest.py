"""Under test the capstone's notebook runs its smallest profile, on every machine the same."""

import os

from common.capstone.run import SWITCH

os.environ.setdefault(SWITCH, "test")
