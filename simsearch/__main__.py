"""The `simsearch` command, and `python -m simsearch`.

Nothing is imported before a Ctrl-C can be answered in a word: loading the commands takes a tenth of a second.
"""


def main() -> None:
    """Load the program and run it."""
    try:
        from simsearch.cli.main import main as program

        program()
    except KeyboardInterrupt as stop:
        from simsearch.cli.signals import end_at_once, end_interrupted

        end = SystemExit(end_interrupted(stop))
        end_at_once(end)
        raise end from None
    except SystemExit as end:
        from simsearch.cli.signals import end_at_once

        end_at_once(end)
        raise


if __name__ == "__main__":
    main()
