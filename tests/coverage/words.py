#!/usr/bin/python3
"""Sentences of src/ and jobs/ that say what is wrong, and whose words no test has in it.

    tests/coverage/words.py

It only reads the sources, and so takes seconds where `make coverage` takes many minutes. A test may look at a
part of a sentence, so a sentence counts as looked at when LEAST letters of its fixed parts are in a test,
each part's longest piece counted. An exit status of 1 means that there are others than report.py's UNTOLD.
"""
import glob
import re
import sys

from report import UNTOLD, sentences

LEAST = 12
CONVERSION = r"%[-+ #0-9.*]*(?:hh|h|ll|l|z|j|t)?[a-zA-Z%]"
# What others' sentences make up.
MADE_UP = {"%s: %s%s%s%s%s: : "}


def read_tests():
    text = ""
    for path in glob.glob("tests/**/*.c", recursive=True) + glob.glob("tests/**/*.sh", recursive=True):
        with open(path, encoding="utf-8") as file:
            code = file.read()
        if path.endswith(".c"):
            code = re.sub(r"/\*.*?\*/", "", code, flags=re.S)
        else:
            code = re.sub(r"^\s*#.*$", "", code, flags=re.M)
        text += re.sub(r'"\s*\n\s*"', "", code).replace('\\"', '"') + "\n"
    return text


def longest_piece(part, tests):
    best = 0
    for i in range(len(part)):
        while i + best < len(part) and part[i:i + best + 1] in tests:
            best += 1
    return best


def main():
    tests, unread, count = read_tests(), [], 0
    for file in sorted(glob.glob("src/*/*.c") + glob.glob("jobs/*.c")):
        for line, _, _, text in sentences(file):
            parts = re.split(CONVERSION, text.replace('\\"', '"'))
            wanted = min(LEAST, sum(map(len, parts)))
            count += 1
            if text not in UNTOLD | MADE_UP and sum(longest_piece(part, tests) for part in parts) < wanted:
                unread.append(f"{file}:{line}: {text}")
    print("\n".join(unread))
    print(f"{count} sentences say what is wrong; no test looks at {len(unread)} of them")
    return 1 if unread else 0


sys.exit(main())
