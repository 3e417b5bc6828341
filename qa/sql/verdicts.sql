-- What became of all statements that were made, by who made them; unpublished ones included.
SELECT writer, method, compression, count(*) AS frames,
    sum(claims_supported)::BIGINT AS supported,
    sum(claims_contradicted)::BIGINT AS contradicted,
    sum(claims_untestable)::BIGINT AS untestable,
    sum(claims_refused)::BIGINT AS refused
FROM rows
GROUP BY ALL
ORDER BY ALL
