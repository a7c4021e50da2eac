"""A byte-level BPE tokenizer in CLIP's format, learned from the captions.

The outcome depends on the captions alone: of pairs that are equally frequent, the one that sorts
last is merged.
"""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from .data import read_captions
from .settings import Tokenizer
from .workspace import Workspace

START, END = "<|startoftext|>", "<|endoftext|>"
LENGTH = 77  # tokens of a padded prompt


def run(workspace: Workspace, stage: str, settings: Tokenizer) -> None:
    """Write vocab.json, merges.txt and the two files of settings that transformers reads."""
    path = workspace.require(workspace.pictures("data").captions, "data")
    words = Counter(word for captions in read_captions(path)
                    for caption in captions for word in re.findall(r"[a-z]+", caption))
    merges = learn_merges(words, settings.merges)
    vocabulary = build_vocabulary(merges)
    write(workspace.tokenizer, vocabulary, merges)
    print(f"{stage}: {len(words)} words, {len(vocabulary)} entries", flush=True)


def learn_merges(words: Counter[str], count: int) -> list[tuple[str, str]]:
    """Merge the most frequent pair of neighbouring tokens, over and over, `count` times.

    Ends early if every word has become one token.
    """
    spellings = {word: (*word[:-1], word[-1] + "</w>") for word in words}
    merges: list[tuple[str, str]] = []
    while len(merges) < count:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, frequency in words.items():
            for pair in zip(spellings[word], spellings[word][1:]):
                pairs[pair] += frequency
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        spellings = {word: _merge(tokens, best) for word, tokens in spellings.items()}
    return merges


def _merge(tokens: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    merged, i = [], 0
    while i < len(tokens):
        length = 2 if tokens[i:i + 2] == pair else 1
        merged.append("".join(tokens[i:i + length]))
        i += length
    return tuple(merged)


def build_vocabulary(merges: list[tuple[str, str]]) -> list[str]:
    """All bytes, all bytes as a word's end, the merged tokens, the two special tokens."""
    letters = _byte_letters()
    return [*letters, *(letter + "</w>" for letter in letters),
            *(left + right for left, right in merges), START, END]


def _byte_letters() -> list[str]:
    """The printable character that stands for each byte, in the order of GPT-2's vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = len(set(range(256)) - set(printable))
    return [chr(code) for code in printable] + [chr(256 + i) for i in range(others)]


def write(folder: Path, vocabulary: list[str], merges: list[tuple[str, str]]) -> None:
    """Write the tokenizer's four files."""
    def special(token: str) -> dict[str, Any]:
        return {"content": token, "lstrip": False, "normalized": True, "rstrip": False,
                "single_word": False}

    folder.mkdir(exist_ok=True)
    entries = {token: number for number, token in enumerate(vocabulary)}
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges)]
    tokens = {"bos_token": special(START), "eos_token": special(END), "pad_token": END,
              "unk_token": special(END)}
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": LENGTH,
              "add_prefix_space": False, "do_lower_case": True, "errors": "replace",
              "bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    files = {"vocab.json": json.dumps(entries, ensure_ascii=False),
             "merges.txt": "\n".join(lines) + "\n",
             "special_tokens_map.json": json.dumps(tokens, indent=1),
             "tokenizer_config.json": json.dumps(config, indent=1)}
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
