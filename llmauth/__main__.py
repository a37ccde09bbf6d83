"""`python -m llmauth`: the same command as `llmauth`."""

import sys

from llmauth.cli import main

if __name__ == "__main__":
    sys.exit(main())
