"""A page opened in headless Chromium: the document that comes of it, and what is logged to the console."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "chrome-headless-shell")
INSTALL = "no browser: apt-get install chromium"
SECONDS = 120

MEASURE = """
<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark"><body>
<iframe id="page" style="border:0;width:%dpx;height:800px" srcdoc="%s"></iframe>
<script>
document.getElementById("page").addEventListener("load", event => {
  const frame = event.target.contentWindow, inside = frame.document, root = inside.documentElement
  const all = (selector, wanted) => [...inside.querySelectorAll(selector)].filter(wanted)
  const found = {
    width: root.scrollWidth,
    background: frame.getComputedStyle(inside.body).backgroundColor,
    broken: all("img", image => !(image.complete && image.naturalWidth > 0)).length,
    lost: all("a[href^='#']", link => !inside.getElementById(link.getAttribute("href").slice(1))).length,
    beyond: all("main *", part => part.getBoundingClientRect().right > frame.innerWidth + 1
      && !part.closest(".scroll, pre")).map(part => part.outerHTML.slice(0, 80)),
    styles: inside.styleSheets.length,
  }
  const told = document.createElement("output")
  told.textContent = JSON.stringify(found)
  document.body.replaceChildren(told)
})
</script>
"""


class Opened(NamedTuple):
    """What came of opening a page: the document, and lines on the console."""

    document: str
    console: list[str]


def find_browser() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def open_page(browser: str, path: Path, *flags: str) -> Opened:
    """Open a file without any network, and wait until it is loaded."""
    command = [
        *(browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
        *("--no-first-run", "--disable-background-networking", f"--user-data-dir={path.parent / 'profile'}"),
        *("--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--v=0", *flags, "--dump-dom"),
        path.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=True)
    said = done.stderr.decode(errors="replace").splitlines()
    return Opened(done.stdout.decode(), [line for line in said if re.search(r":CONSOLE[:(]", line)])


def measure_page(browser: str, path: Path, width: int, *flags: str) -> tuple[dict[str, Any], list[str]]:
    """Open a page in a frame of some width, and return what is seen of it from outside, and lines on the console."""
    around = path.with_name(f"{path.stem}-{width}.html")
    around.write_text(MEASURE % (width, html.escape(path.read_text(encoding="utf-8"))), encoding="utf-8")
    opened = open_page(browser, around, *flags)
    (told,) = re.findall(r"<output>(.*?)</output>", opened.document, flags=re.DOTALL)
    return json.loads(html.unescape(told)), opened.console
