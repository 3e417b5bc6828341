-- Measurements by region, kind and direction: how many, how many of them beyond chance, and how large those are.
WITH cells AS (
    SELECT {dimensions}, one.category_id, one.kind, one.direction, one.unit, count(*) AS measured,
        count(*) FILTER (one.significant) AS significant,
        sum(one.effect) FILTER (one.significant) AS effect
    FROM (SELECT {dimensions}, unnest(evidence) AS one FROM rows)
    GROUP BY ALL
)
SELECT {by}, category_id, kind, direction, unit, sum(measured)::BIGINT AS measured,
    sum(significant)::BIGINT AS significant, sum(effect) / sum(significant) AS effect
FROM cells
GROUP BY category_id, kind, direction, unit, {sets}
ORDER BY ALL
