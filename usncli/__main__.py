"""``python -m usncli``: the same as ``usn``, for launchers that start modules."""

from usncli.cli.main import run_process

if __name__ == "__main__":
    run_process()
