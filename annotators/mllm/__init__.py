"""The `mllm` explainer: a captioning model behind any OpenAI-compatible server.

    explainer   a pair's frames in, what was said of each out; every failure ends as a fallback
    recipes     how a frame is put to the model: ours, and readings of the neighbours'
    talk        one conversation: question, validated answer, question again
    answer      the form of an answer, and what to do with one that is not in it
    pictures    the crops and their numbered outlines, as a request holds them
    client      one request: known already, within the budget, sent, stored, answered
    direct      sends at once: limits, backoff, patience
    batch       sends through the Batch API, whose calls are in `jobs`
    wire        the connection, and what may come back over it
    refusal     what a failed attempt means: again, not again, stop the run
    limits      requests and tokens a minute; how long to hope for an answer
    store       every answer and every cost, in a file (`disk`) before anybody reads it

An answer is data: parsed, validated, bounded in length, never evaluated.
"""
