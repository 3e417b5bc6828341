-- Published claims by the region that they are about, by what they say and how they were judged.
WITH cells AS (
    SELECT {dimensions}, one.category_id, one.kind, one.direction, one.verdict, count(*) AS claims
    FROM (SELECT {dimensions}, unnest(claims) AS one FROM rows)
    GROUP BY ALL
)
SELECT {by}, category_id, kind, direction, verdict, sum(claims)::BIGINT AS claims
FROM cells
GROUP BY category_id, kind, direction, verdict, {sets}
ORDER BY ALL
