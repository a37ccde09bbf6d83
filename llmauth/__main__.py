"""`python -m llmauth`: the same command as `llmauth`."""

from llmauth.cli import main

if __name__ == "__main__":
    main()
