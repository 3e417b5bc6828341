-- Requests to captioning models, by hour (UTC) and method, which is the second part of the id that one is about.
SELECT date_trunc('hour', make_timestamp((sent_at * 1e6)::BIGINT)) AS hour,
    split_part(subject, '/', 2) AS method, recipe, model, outcome, count(*) AS requests, sum(attempts)::BIGINT AS attempts,
    sum(prompt_tokens)::BIGINT AS prompt_tokens, sum(completion_tokens)::BIGINT AS completion_tokens,
    sum(cost) AS cost, avg(latency_s) AS latency_s
FROM costs
GROUP BY ALL
ORDER BY ALL
