"""A child process for programs in any language: JSON-RPC 2.0 on its pipes, one object a line.

Reading order: lines (bytes to lines), jsonrpc (what a line means), connection (requests side by
side, and their answers), parent (when the parent is gone), parameters, loading (one guard for
all), methods, run.

The first four know no method, and nothing of models: another protocol on the same transport brings
methods of its own. There is no library for them that fits: those for JSON-RPC frame by
Content-Length (pygls, python-lsp-jsonrpc), or answer one request after another and cancel none
(jsonrpcserver).
"""
