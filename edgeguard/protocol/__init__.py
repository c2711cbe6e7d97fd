"""How Qwen3Guard-Gen is asked and how it answers, written once.

Reading order: names, messages, question, answer, grammar. Nothing here touches a model.
"""
