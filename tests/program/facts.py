"""For checks of Python code that a test of the program runs: one line a fact, as lib.sh prints them.

    with facts.refuses("a damaged table is refused", StoreError, "table.csv:3"): …
    facts.finish()
"""
import contextlib
import sys
import traceback

failures = 0


def check(fact, ok, seen=""):
    global failures
    print(f"{'ok' if ok else 'not ok'} - {fact}")
    if not ok:
        failures += 1
        print(f"# {seen}")


@contextlib.contextmanager
def refuses(fact, kind, *words):
    """What is done inside must end in an error of this kind that has all the words."""
    seen = "no error"
    try:
        yield
    except Exception as error:
        seen = f"{error}" if isinstance(error, kind) else traceback.format_exc().replace("\n", "\n# ")
        if isinstance(error, kind) and all(word in seen for word in words):
            check(fact, True)
            return
    check(fact, False, seen)


def finish():
    sys.exit(failures > 0)
