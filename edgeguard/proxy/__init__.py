"""An endpoint in front of any model: nothing passes that was not judged.

    settings.py     what a proxy is started with
    words.py        the texts in a JSON value, and which strings are no text
    sse.py          server-sent events out of bytes that come cut anywhere
    requests.py     what is judged of a request, in each of the forms
    refusals.py     what a client gets instead of what was blocked, in each of the forms
    held.py         the events of an answer, released as far as they are judged
    judge.py        the verdicts, from the guard; what a failure means
    streaming.py    an answer that is judged while it is written
    whole.py        an answer that comes in one piece
    upstream.py     the requests to the model behind
    audit.py        one line for each verdict, without the text
    counts.py       the metrics
    app.py          the application, in the layers of edgeguard.server
    run.py          starts it

The layers for keys, bodies, ids and the log are the server's (edgeguard.server). The verdicts are
the guard's: nothing here decides what is flagged.
"""
