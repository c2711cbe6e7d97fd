"""The models on this machine: which exist, where they are, how they are installed and removed.

Reading order: paths, registry, checksum, manifest, store, model_file, policies; then hub.
edgeguard.pulling fetches and installs a model.
"""

from edgeguard.store.checksum import file_sha256
from edgeguard.store.model_file import ModelFile, resolve
from edgeguard.store.policies import find_policy, save_policy, saved_policies

__all__ = [
    "ModelFile",
    "file_sha256",
    "find_policy",
    "resolve",
    "save_policy",
    "saved_policies",
]
