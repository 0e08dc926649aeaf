"""`python -m granite`: the same as the `granite` command. Runs on the main thread."""

from granite.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
