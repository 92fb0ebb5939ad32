"""The command line: `tuneline up | run | jobs | logs | cancel | retry | models | predict | ...`."""


def main() -> None:
    """Run the command line. Ctrl-C ends it without a traceback, also while its libraries are being imported."""
    try:
        from app.cli.commands import run

        run()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
