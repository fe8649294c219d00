"""`python -m waton` is the command line."""

from waton.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
