"""A child process for programs in any language: JSON-RPC 2.0 on its pipes, one object a line.

Reading order: lines (bytes to lines), jsonrpc (the content of a line), connection (concurrent
requests and their answers), parent (when the parent is gone), parameters, loading (one guard for
all), methods, run.

The first four know no method, and nothing of models, so another protocol could use the same
transport. No existing library fits: those for JSON-RPC frame by Content-Length (pygls,
python-lsp-jsonrpc), or answer one request after another and cancel none (jsonrpcserver).
"""
