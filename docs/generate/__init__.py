"""Pages of docs/reference that are made from the code, so that they cannot differ from it.

`bash scripts/reference` writes them; tests/documentation holds what is committed against what
would be written. Pages that people write are not touched.
"""
