-- Concepts touched. A frame counts once for each region of its own; `share` is of the concept's pixels.
WITH cells AS (
    SELECT {dimensions}, one.category_id, one.name AS region, count(*) AS frames,
        sum(one.area)::BIGINT AS area, sum(one.area / one.concept_area) AS share,
        sum(confidence) AS confidence, sum(stability) AS stability
    FROM (SELECT {dimensions}, confidence, stability, unnest(regions) AS one FROM rows)
    GROUP BY ALL
)
SELECT {by}, category_id, region, sum(frames)::BIGINT AS frames,
    sum(area) / sum(frames) AS mask_px, sum(share) / sum(frames) AS share,
    sum(confidence) / sum(frames) AS confidence, sum(stability) / sum(frames) AS stability
FROM cells
GROUP BY category_id, region, {sets}
ORDER BY ALL
