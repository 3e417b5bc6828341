-- Annotated frames: masks, how far they can be trusted, and what became of the claims.
SELECT
    {by},
    count(*) AS frames,
    count(DISTINCT pair) AS pairs,
    avg(mask_px) AS mask_px,
    avg(mask_share) AS mask_share,
    avg(confidence) AS confidence,
    avg(stability) AS stability,
    sum(claims_supported)::BIGINT AS supported,
    sum(claims_contradicted)::BIGINT AS contradicted,
    sum(claims_untestable)::BIGINT AS untestable,
    sum(claims_refused)::BIGINT AS refused
FROM rows
GROUP BY {sets}
ORDER BY ALL
