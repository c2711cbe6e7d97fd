"""The local server behind `edgeguard serve`: OpenAI's endpoints, our own, and a page to try it on.

Reading order: settings, worker, requests, chat, moderations, native, openapi, gate, app, run. Every
module but settings needs the extra `edgeguard[server]`; `edgeguard.commands.serve` says so where it
is missing. Nothing here judges: verdicts come from `edgeguard.Guard`, through one worker thread.
"""
