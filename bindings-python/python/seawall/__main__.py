"""`python -m seawall`."""

import sys

from seawall._cli import main

sys.exit(main())
