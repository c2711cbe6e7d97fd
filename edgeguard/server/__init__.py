"""The local server behind `edgeguard serve`: OpenAI's endpoints, our own, and a page to try it on.

Reading order: settings; json_body, requests, reading, chat, moderations, native, judging, endpoints
(requests and answers); answers, openapi, routes (their description); observed, access, body, app
(the layers that a request passes); connection_limit, connection, listen, log, run (the process).
Every module but settings needs the extra `edgeguard[server]`; if it is missing,
`edgeguard.commands.serve` says so. Nothing here judges: verdicts come from `edgeguard.Guard`,
through one worker (edgeguard.worker).
"""
