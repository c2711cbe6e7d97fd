"""Adapters: each module here plugs a guard into one other program or framework.

    litellm        a guardrail of LiteLLM's proxy
    langchain      a middleware of LangChain's agents
    agents         guardrails of OpenAI's Agents SDK
    pydantic_ai    a capability of Pydantic AI's agents
    haystack       a component of Haystack's pipelines
    open_webui.py  a filter function of Open WebUI: a file to paste
    mcp            a tool for clients of the Model Context Protocol

A module imports its framework, so import only the one you need. None contains any logic of
moderation: the guard judges, its policy flags, and the adapter reports that in the framework's way.
docs/hosts/ has a page for each, with the versions that are tested.
"""
