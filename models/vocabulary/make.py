"""Make the vocabulary's file from the tokenizer of any Qwen3 checkpoint.

    python models/vocabulary/make.py FOLDER models/vocabulary/qwen3.gguf

FOLDER holds tokenizer.json and tokenizer_config.json as Qwen publishes them. The same two files
give the same bytes. It must be the published vocabulary, or nothing is written.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import gguf

from edgeguard.convert.config import Config
from edgeguard.convert.vocabulary import MODEL, PRE, read_vocabulary
from edgeguard.gguf.vocabulary import PUBLISHED, is_published

_NO_MODEL = Config(
    layers=1,
    hidden=1,
    ffn=1,
    heads=1,
    kv_heads=1,
    head_dim=1,
    vocab_size=PUBLISHED,
    context=1,
    rms_eps=1e-6,
    rope_theta=1.0,
    tied=True,
    token_ids={},
)


def main(folder: Path, path: Path) -> None:
    """Write the file, and its checksum beside it."""
    vocabulary = read_vocabulary(folder, _NO_MODEL)
    tokens, merges = ([text.encode() for text in v] for v in (vocabulary.tokens, vocabulary.merges))
    if not is_published(tokens, merges):
        raise SystemExit(f"{folder} does not hold the tokenizer that Qwen3's models share")
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_type("vocab")
    writer.add_name("Qwen3 vocabulary")
    writer.add_tokenizer_model(MODEL)
    writer.add_tokenizer_pre(PRE)
    writer.add_token_list(list(vocabulary.tokens))
    writer.add_token_types(list(vocabulary.types))
    writer.add_token_merges(list(vocabulary.merges))
    writer.add_eos_token_id(vocabulary.special_ids["eos"])
    writer.add_pad_token_id(vocabulary.special_ids["pad"])
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(f"{path.name}.sha256").write_text(f"{digest}  {path.name}\n", encoding="ascii")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
