"""``make demo``: type the commands of docs/tutorial.md, in ./demo, and compare.

Status 0 if every command did what the tutorial says, 1 at the first that did not.
"""

from __future__ import annotations

import shutil
import sys

from tests.docs.blocks import ROOT, Differs, Scratch, check, commands, read_blocks, with_output

TUTORIAL = ROOT / "docs/tutorial.md"
FOLDER = ROOT / "demo"


def main() -> int:
    """Run the tutorial from its first block to its last."""
    if FOLDER.exists():
        shutil.rmtree(FOLDER)
    FOLDER.mkdir(mode=0o700)
    # Stays beside the letters: who looks at the folder later can type on.
    scratch = Scratch(FOLDER, FOLDER / ".bin")
    count = 0
    for block, expected in with_output(read_blocks(TUTORIAL)):
        if block.not_run:
            continue
        if block.language == "python":
            print(f"\n# {scratch.save(block)} is from {block}", flush=True)
            continue
        print(flush=True)
        printed = ""
        typed = commands(block.text)
        for number, command in enumerate(typed, 1):
            print(f"$ {command}", flush=True)
            status, said = scratch.run(command)
            print(_for_this_terminal(said), end="", flush=True)
            printed += said
            count += 1
            try:
                if number < len(typed) and status:
                    raise Differs(f"{block}: status {status} of {command}")
                if number == len(typed):
                    check(block, status, printed, expected)
            except Differs as differs:
                print(f"\ndemo: {differs}", file=sys.stderr)
                return 1
    print(f"\n{count} commands did what docs/tutorial.md says. The files lie in {FOLDER}/:")
    print("  " + "  ".join(sorted(path.name for path in FOLDER.iterdir() if path.name[0] != ".")))
    return 0


def _for_this_terminal(text: str) -> str:
    """Return the text without what the terminal's encoding lacks (LC_ALL=C)."""
    encoding = sys.stdout.encoding or "ascii"
    return text.encode(encoding, "backslashreplace").decode(encoding)


if __name__ == "__main__":
    sys.exit(main())
