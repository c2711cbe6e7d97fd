"""The local server behind `edgeguard serve`: OpenAI's endpoints, our own, and a page to try it on.

Reading order: settings; json_body, requests, reading, chat, moderations, native, judging, endpoints
(what is asked and answered); answers, openapi, routes (what is said of it); observed, access, body,
app (what a request passes); connection_limit, connection, listen, log, run (the process). Every
module but settings needs the extra `edgeguard[server]`; `edgeguard.commands.serve` says so where it
is missing. Nothing here judges: verdicts come from `edgeguard.Guard`, through one worker
(edgeguard.worker).
"""
