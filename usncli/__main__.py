"""``python -m usncli``: the same as ``usn``, for launchers that start modules."""

import sys

from usncli.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
