"""`python -m edge_collector`."""

import sys

from edge_collector.cli import main

if __name__ == "__main__":
    sys.exit(main())
