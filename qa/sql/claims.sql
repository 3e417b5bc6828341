-- Published claims by what they say and how they were judged.
WITH cells AS (
    SELECT {dimensions}, one.kind, one.direction, one.verdict, count(*) AS claims
    FROM (SELECT {dimensions}, unnest(claims) AS one FROM rows)
    GROUP BY ALL
)
SELECT {by}, kind, direction, verdict, sum(claims)::BIGINT AS claims
FROM cells
GROUP BY kind, direction, verdict, {sets}
ORDER BY ALL
