"""Builds the documentation as a site: strictly, so that a broken link fails, and without anything from another host.

python docs/site/build_site.py --out site
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from sphinx.cmd.build import build_main
from staging import ROOT, stage


def build(out: Path) -> int:
    """Build the site into a folder; return 0, or what Sphinx returns where something is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        stage(Path(folder))
        return render(Path(folder), out)


def render(pages: Path, out: Path) -> int:
    """Turn a folder of pages into HTML; return 0, or what Sphinx returns where something is wrong."""
    shutil.copy(Path(__file__).with_name("conf.py"), pages)
    options = ["--quiet", "--fail-on-warning", "--keep-going"]
    with tempfile.TemporaryDirectory() as cache:
        return int(build_main([*options, "--doctree-dir", cache, str(pages), str(out)]))


def main() -> int:
    """Build into the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "site", help="where the pages go")
    arguments = parser.parse_args()
    code = build(arguments.out)
    if code == 0:
        print(f"{arguments.out / 'index.html'}: the front page")
    return code


if __name__ == "__main__":
    sys.exit(main())
