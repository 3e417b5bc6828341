-- Requests to captioning models, by hour (UTC).
SELECT date_trunc('hour', make_timestamp((sent_at * 1e6)::BIGINT)) AS hour,
    recipe, model, outcome, count(*) AS requests, sum(attempts)::BIGINT AS attempts,
    sum(prompt_tokens)::BIGINT AS prompt_tokens, sum(completion_tokens)::BIGINT AS completion_tokens,
    sum(cost) AS cost, avg(latency_s) AS latency_s
FROM costs
GROUP BY ALL
ORDER BY ALL
