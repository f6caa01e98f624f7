"""``python -m bedside``: the command ``bedside``."""

from bedside.cli.main import run

if __name__ == "__main__":
    run()
