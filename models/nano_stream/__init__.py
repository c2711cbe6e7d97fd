"""The built-in Stream model: one GGUF file beside this module, for tests and for trying the tool.

This package holds data only; see README.md in the same folder for what the model is not.
"""
