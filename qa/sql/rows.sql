-- One line per annotated frame: what the tables group by and measure. Pixels and masks are not read.
CREATE OR REPLACE TEMP VIEW rows AS
SELECT
    file_index, file_row_number, id, method, forgery, compression, split, {pose} AS pose, {size} AS size,
    concat_ws('/', dataset, method, compression, pair) AS pair,
    CASE WHEN fallback_reason IS NOT NULL THEN 'evidence (fallback)'
         WHEN explainer = 'mllm' THEN coalesce(recipe, 'mllm') ELSE explainer END AS writer,
    artifact.area::BIGINT AS mask_px,
    artifact.area / (artifact.segmentation.size[1] * artifact.segmentation.size[2]) AS mask_share,
    artifact.confidence AS confidence, artifact.stability AS stability,
    claims_supported, claims_contradicted, claims_untestable, claims_refused,
    regions, evidence, claims
FROM shards;
