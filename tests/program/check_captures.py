"""Does a store hold what `promptmill plan` foretold, and do its captures agree?

    promptmill plan CONFIG | check_captures.py STORE.h5

The bytes of every dataset must be those that plan prints, to the last one. The captures "each" and
"half" must average to "cross_mean", and "before" must be "cross_mean" for sources. Exit status: 0
so it is; 1 not, the first difference is printed.
"""
import re
import sys

import h5py
import numpy


def fail(sentence):
    print(sentence)
    sys.exit(1)


def check_bytes(store):
    foretold = {name: int(n) for name, n in re.findall(r"^  (/\S+) +(\d+) bytes", sys.stdin.read(), re.M)}
    found = {}

    def add(name, thing):
        if isinstance(thing, h5py.Dataset):
            found["/" + name] = thing.id.get_storage_size()

    store.visititems(add)
    if foretold != found:
        fail(f"plan and store differ in {sorted(set(foretold.items()) ^ set(found.items()))}")


def check_captures(store):
    attention = {name: data[()].astype("f8") for name, data in store["attention"].items()}
    mean, source = attention["cross_mean"], store["prompt/target"][()] == -1
    if attention["each"].ndim != 7 or abs(attention["each"].mean(axis=(1, 2, 3)) - mean).max() > 1e-6:
        fail("the maps of each step, layer and head do not average to the mean")
    if abs(attention["half"].mean(axis=1) - mean).max() > 2.0**-11:
        fail("the maps of each step in f16 do not average to the mean")
    if not (attention["before"] == mean)[source].all():
        fail("a source's maps before editing are not those after it")
    if (attention["before"] == mean)[~source].all():
        fail("no target's maps before editing differ from those after it")
    for item in range(len(store["prompt/text"])):
        words = store["prompt/token_word"][item]
        for word in range(store["prompt/word_count"][item]):
            of_word = mean[item][:, :, numpy.flatnonzero(words == word)].mean(axis=-1)
            if abs(of_word - attention["words"][item][:, :, word]).max() > 1e-6:
                fail(f"word {word} of entry {item} is not the mean of its tokens")


with h5py.File(sys.argv[1], "r") as opened:
    check_bytes(opened)
    check_captures(opened)
