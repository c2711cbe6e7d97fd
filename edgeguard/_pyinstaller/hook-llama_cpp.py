"""llama.cpp's shared libraries, each once: the other names in the wheel are copies.

llama_cpp opens libllama and libggml by their plain names; a library names those that it needs
itself with one number behind (libggml-cpu.so.0). Names with more numbers nobody asks for.
"""

import re
from pathlib import Path

from PyInstaller.utils.hooks import collect_dynamic_libs

binaries = [
    (path, folder)
    for path, folder in collect_dynamic_libs(
        "llama_cpp", search_patterns=["*.so*", "*.dylib", "*.dll"]
    )
    # The name alone: the folder is called lib too.
    if re.search(
        r"^lib(llama|ggml)\.so$|^lib(?!llama\b).*\.so\.\d+$|\.dylib$|\.dll$", Path(path).name
    )
]
