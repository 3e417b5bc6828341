-- How the figures of a mask are spread over the frames: ten steps each; the mask's share up to one half.
WITH figures AS (
    SELECT unnest([
        {{figure: 'confidence', step: confidence * 10}},
        {{figure: 'stability', step: stability * 10}},
        {{figure: 'mask share', step: mask_share * 20}}
    ], recursive := true)
    FROM rows
)
SELECT figure, greatest(0, least(9, floor(step)))::INT AS step, count(*) AS frames
FROM figures
GROUP BY ALL
ORDER BY ALL
