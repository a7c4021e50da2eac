"""analysis/report.py's page, as a file and, where there is one, in a browser.

    check_report.py FOLDER      one.report.html of one.h5, few.report.html of three of its edits
"""
import html.parser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import facts

sys.path.insert(0, "analysis")
from promptmill_store import Store  # noqa: E402

folder = Path(sys.argv[1])
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Does what a reader does, in a copy of the page that lets it, and writes what is seen then.
READER = """
const seen = (what) => [...document.querySelectorAll(what)].filter((e) => e.getClientRects().length > 0);
const note = [];
note.push(seen(".card").length);
text.value = "CUBE nosuch"; filters.dispatchEvent(new Event("input"));
note.push(seen(".card").length);
text.value = "blue star"; filters.dispatchEvent(new Event("input"));
note.push(seen(".card").length);
text.value = "";
const state = document.querySelector("select[data-key=state]");
state.value = "failed"; filters.dispatchEvent(new Event("input"));
note.push(seen(".card").length, seen(".card .reason").length);
state.value = ""; filters.dispatchEvent(new Event("input"));
order.selectedIndex = 1; order.dispatchEvent(new Event("change"));
const values = seen(".card").map((card) => card.metrics[order.value.split(" ")[1]] ?? -Infinity);
note.push(values[0] > values[1] && values.every((v, i) => i === 0 || values[i - 1] >= v));
seen(".card")[0].click();
note.push(detail.open, seen("dialog .word").length > 0);
const word = getComputedStyle(document.querySelector("dialog .word")).backgroundImage;
note.push((word.match(/data:image/g) || []).length);
detail.close();
note.push(document.documentElement.scrollWidth <= window.innerWidth, typeof injected);
document.body.replaceChildren("READER " + note.join(" "));
"""


class Page(html.parser.HTMLParser):
    VOID = {"meta", "input", "br", "img"}

    def __init__(self):
        super().__init__()
        self.open, self.wrong, self.text, self.links = [], [], [], []

    def handle_starttag(self, name, attributes):
        self.links += [value for key, value in attributes if key in ("src", "href", "action")]
        if name not in self.VOID:
            self.open.append(name)

    def handle_endtag(self, name):
        if not self.open or self.open.pop() != name:
            self.wrong.append(name)

    def handle_data(self, data):
        self.text.append(data)


def in_browser(browser, path, width):
    command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'browser'}",
               f"--window-size={width},900", "--virtual-time-budget=3000", "--dump-dom", f"file://{path}"]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False).stdout


def check_file(text, store):
    page = Page()
    page.feed(text)
    facts.check("every tag is closed in its place", not page.open and not page.wrong, (page.open, page.wrong))
    facts.check("nothing is loaded: links lead into the page", all(link.startswith("#") for link in page.links) and
                set(re.findall(r"url\((\w+:?)", text)) == {"data:"}, page.links)  # fmt: skip
    facts.check("texts of the store are no markup", '<b>"&' in "".join(page.text) and '<b>"&' not in text)
    facts.check("every edit has a card", text.count("<article") == len(store.edits), text.count("<article"))
    failed = [edit.message for edit in store.edits if edit.state == "failed"]
    facts.check("a failed one has its reason", all(reason in "".join(page.text) for reason in failed))
    facts.check("a source's picture is there once for all its edits",
                len(re.findall(r"--source:url\(data", text)) == len(store.items))  # fmt: skip
    facts.check("each word of a done edit has a heat map", text.count("--map:url(data:image/png") == sum(
        len(store.words(edit)) for edit in store.edits if edit.state == "done"))  # fmt: skip


def check_browser(browser, text):
    whole = in_browser(browser, folder / "one.report.html", 1200)
    count = text.count("<article")
    facts.check("the page's own program runs in a browser, under its own policy",
                f"{count} of {count}</output>" in whole, whole[-2000:])  # fmt: skip
    copy = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    (folder / "read.html").write_text(copy.replace("</body>", f"<script>{READER}</script></body>"))
    for width, screen in (1200, "a desk's"), (500, "a phone's"):
        read = re.search("READER ([^<]*)", in_browser(browser, folder / "read.html", width))
        seen = read.group(1).split() if read else []
        wanted = ["8", "0", "2", "2", "2", "true", "true", "true", "2", "true", "undefined"]
        facts.check(f"filters, order, details and width are right on {screen} screen", seen == wanted, seen)


with Store(folder / "one.h5") as opened:
    one = (folder / "one.report.html").read_text(encoding="utf-8")
    check_file(one, opened)
few = (folder / "few.report.html").read_text(encoding="utf-8")
facts.check("a page of few edits says so", few.count("<article") == 3 and "3 of 8: " in few, few.count("<article"))
found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
if found:
    check_browser(found, one)
else:
    print(f"# not looked at in a browser: there is no {', '.join(BROWSERS)}")
facts.finish()
