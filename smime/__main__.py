"""``python -m smime``: the command ``smimetool`` under another name.

Floor:  cli
"""

from smime.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
