"""`python -m simsearch` is the `simsearch` command."""

from simsearch.cli import main

if __name__ == "__main__":
    main()
