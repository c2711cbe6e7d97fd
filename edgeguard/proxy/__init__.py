"""An endpoint in front of any model: nothing passes that was not judged.

    settings.py     what a proxy is started with
    words.py        the texts in a JSON value, and which strings are not text
    sse.py          server-sent events from bytes that may be cut anywhere
    requests.py     what is judged of a request, in each of the forms
    outside.py      parts of a request that the guard cannot see
    refusals.py     what a client gets in place of a blocked answer, in each of the forms
    held.py         the events of an answer, released as far as they are judged
    judge.py        the verdicts, from the guard; what a failure means
    streaming.py    an answer that is judged while it is written
    whole.py        an answer that comes in one piece
    upstream.py     the requests to the upstream model
    audit.py        one line for each verdict, without the text
    counts.py       the metrics
    app.py          the application, in the layers of edgeguard.server
    run.py          starts it

The layers for keys, bodies, ids and the log are the server's (edgeguard.server). The verdicts are
the guard's: nothing here decides what is flagged.
"""
