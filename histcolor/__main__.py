"""``python -m histcolor``: the same as the command ``histcolor``."""

import sys

from histcolor.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
