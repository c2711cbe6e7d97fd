"""The models on this machine: which there are, where they lie, how they get here and go.

Reading order: paths, registry, checksum, manifest, store, model_file, policies; then hub. How a
model gets here is edgeguard.pulling's.
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
