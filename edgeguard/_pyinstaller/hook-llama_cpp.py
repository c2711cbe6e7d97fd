"""llama.cpp's shared libraries, each once: the other names are links to the same file.

llama_cpp loads libllama by its shortest name, and each library names the others by the name with
one number (libggml.so.0); the names with more numbers are asked for by nobody.
"""

import re

from PyInstaller.utils.hooks import collect_dynamic_libs

binaries = [
    (path, folder)
    for path, folder in collect_dynamic_libs(
        "llama_cpp", search_patterns=["*.so*", "*.dylib", "*.dll"]
    )
    if not re.search(r"\.so\.\d+\.\d", path)
]
