"""Collects llama.cpp's shared libraries, each once: the wheel contains copies under other names.

llama_cpp opens libllama and libggml by their plain names; the libraries need each other by names
with one number at the end (libggml-cpu.so.0). Nothing uses names with more numbers. A build without
numbers (scripts/wheels) has each library once, and all are needed.
"""

import re
from pathlib import Path

from PyInstaller.utils.hooks import collect_dynamic_libs

_found = collect_dynamic_libs("llama_cpp", search_patterns=["*.so*", "*.dylib", "*.dll"])
_names = {Path(path).name for path, _ in _found}
_numbered = {name.partition(".so.")[0] + ".so" for name in _names if ".so." in name}
binaries = [
    (path, folder)
    for path, folder in _found
    # Only the file's name, since the folder is called lib too.
    for name in [Path(path).name]
    if re.search(r"^lib(llama|ggml)\.so$|^lib(?!llama\b).*\.so\.\d+$|\.dylib$|\.dll$", name)
    or (name.endswith(".so") and name not in _numbered)
]
