"""Write the Python blocks of README.md and docs/ to one module a page, for pyright: `python doc_blocks.py FOLDER`."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def main(folder: Path) -> None:
    """Write the modules, whose lines have the numbers that they have in their pages."""
    folder.mkdir(parents=True, exist_ok=True)
    for page in [ROOT / "README.md", *ROOT.glob("docs/*.md")]:
        text = page.read_text()
        lines = ["# pyright: reportRedeclaration=false, reportMissingImports=false", *[""] * text.count("\n")]
        for block in BLOCK.finditer(text):
            first = text.count("\n", 0, block.start(1))
            code = block[1].splitlines()
            lines[first : first + len(code)] = code
        (folder / f"{page.stem.replace('-', '_')}.py").write_text("\n".join(lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
