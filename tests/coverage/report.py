#!/usr/bin/python3
"""What the tests ran of a build with gcc's --coverage: `make coverage` calls it.

    tests/coverage/report.py BUILD

Of each file in src/ the lines that ran, least first, and which did not; then each sentence of src/ and
jobs/ that says what is wrong (pm_fail, argp_error, an error or warning of pm_log) and that no test was told,
UNTOLD aside. An exit status of 1 means that less than LEAST of the lines in src/ ran, or that there are such
sentences. words.py, beside this, tells which of them no test looks at.
"""
import collections
import json
import os
import re
import subprocess
import sys

LEAST = 0.90
# What only a system in trouble, or another one than this, leads to.
UNTOLD = {
    "%s has %zu lines; %d are the most",  # two thousand million
    "%zu bytes of packed weights are too many for a file",
    "cannot map %s: %s",  # what has been read a moment before
    "cannot rename %s to %s: %s",
    "the program's own path is not known: %s",
    "this HDF5 was built without gzip (zlib)",
}


def read_counts(build):
    """@return {file: {line: (count, whether a part of the line never ran)}}

    Kernels are compiled once for each instruction set; what ran in one of them ran.
    """
    notes = [os.path.join(folder, name) for part in ("src", "jobs")
             for folder, _, names in os.walk(os.path.join(build, part)) for name in names if name.endswith(".gcno")]
    counts = collections.defaultdict(dict)
    for first in range(0, len(notes), 64):
        text = subprocess.run(["gcov", "--json-format", "--stdout", *notes[first:first + 64]], check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        for report in text.splitlines():
            for file in json.loads(report)["files"] if report.strip() else []:
                lines = counts[file["file"]]
                for line in file["lines"]:
                    count, partly = lines.get(line["line_number"], (0, True))
                    lines[line["line_number"]] = (count + line["count"], partly and line["unexecuted_block"])
    return counts


def ranges(numbers):
    """[3, 4, 5, 9] as "3-5 9"."""
    runs = []
    for n in numbers:
        if runs and runs[-1][1] == n - 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    return " ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def print_files(counts):
    """@return the share of the lines of src/ that ran"""
    rows, ran_in_all, all_lines = [], 0, 0
    for file, lines in counts.items():
        if not re.match(r"src/.*\.c$", file):
            continue
        missing = sorted(n for n, (count, _) in lines.items() if count == 0)
        ran = len(lines) - len(missing)
        rows.append((ran / len(lines), file, ran, len(lines), ranges(missing)))
        ran_in_all += ran
        all_lines += len(lines)
    for share, file, ran, of, missing in sorted(rows):
        print(f"{100 * share:5.1f} %  {file}  {ran} of {of} lines{', not ' + missing if missing else ''}")
    print(f"{100 * ran_in_all / all_lines:5.1f} %  src/  {ran_in_all} of {all_lines} lines")
    return ran_in_all / all_lines


def end_of_call(text, at):
    """@return where the parenthesis closes that opens at or after `at`"""
    depth, is_string, is_escaped = 0, False, False
    for i in range(text.index("(", at), len(text)):
        c = text[i]
        if is_string:
            is_string = is_escaped or c != '"'
            is_escaped = c == "\\" and not is_escaped
        elif c == '"':
            is_string = True
        elif c in "()":
            depth += 1 if c == "(" else -1
            if depth == 0:
                return i
    raise ValueError("a call without an end")


def sentences(file):
    """@return [(line, last line, whether other code stands before it in its line, format)]"""
    with open(file, encoding="utf-8") as f:
        text = f.read()
    found = []
    for match in re.finditer(r"\b(pm_fail|pm_log|argp_error)\s*\(", text):
        end = end_of_call(text, match.start())
        call = text[match.start():end]
        parts = re.findall(r'"((?:[^"\\]|\\.)*)"', call)
        if not parts or (match[1] == "pm_log" and not re.match(r"pm_log\(PM_LOG_(ERROR|WARN)", call)):
            continue
        before = text[text.rfind("\n", 0, match.start()) + 1:match.start()]
        found.append((text.count("\n", 0, match.start()) + 1, text.count("\n", 0, end) + 1,
                      not re.fullmatch(r"\s*(return |\(void\)!?|return \(bool\))?", before), "".join(parts)))
    return found


def print_untold(counts):
    all_sentences, untold = 0, []
    for file in sorted(counts):
        if not re.match(r"(src|jobs)/.*\.c$", file):
            continue
        for first, last, is_shared, text in sentences(file):
            lines = [counts[file][n] for n in range(first, last + 1) if n in counts[file]]
            all_sentences += 1
            is_told = any(count for count, _ in lines) and not (is_shared and lines[0][1])
            if not is_told and text not in UNTOLD:
                untold.append(f"{file}:{first}: {text}")
    print("\n".join(untold))
    print(f"{all_sentences} sentences say what is wrong, {len(untold)} of them to no test, {len(UNTOLD)} aside")
    return len(untold)


def main():
    counts = read_counts(sys.argv[1])
    share = print_files(counts)
    untold = print_untold(counts)
    return 0 if share >= LEAST and untold == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
