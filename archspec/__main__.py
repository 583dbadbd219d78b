"""`python -m archspec` is the command."""

import sys

from archspec.cli import main

sys.exit(main())
