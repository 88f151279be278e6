"""``python -m morpholith.cli`` is ``morpholith``."""

import sys

from .entry import main

sys.exit(main())
