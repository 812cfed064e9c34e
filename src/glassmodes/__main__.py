"""``python -m glassmodes`` is ``glassmodes``."""

import sys

from glassmodes.cli import main

if __name__ == "__main__":
    sys.exit(main())
